INSERT INTO run_logs (run_seq, line, tenant_id, attempt, at, level, message) VALUES (?, ?, ?, ?, ?, ?, ?)
