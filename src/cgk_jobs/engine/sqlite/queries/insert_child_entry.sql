INSERT OR REPLACE INTO steps (run_seq, name, tenant_id, place, result, finished_at, pending) VALUES (?, ?, ?, ?, NULL, ?, 1)
