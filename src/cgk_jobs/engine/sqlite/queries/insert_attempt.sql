INSERT OR REPLACE INTO attempts (run_seq, claim, tenant_id, attempt, outcome, error, ended_at) VALUES (?, ?, ?, ?, ?, ?, ?)
