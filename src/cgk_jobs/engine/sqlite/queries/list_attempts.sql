SELECT attempt, outcome, error, ended_at FROM attempts WHERE run_seq = ? AND tenant_id = ? ORDER BY claim
