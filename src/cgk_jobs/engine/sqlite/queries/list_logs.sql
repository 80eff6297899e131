SELECT at, attempt, level, message FROM run_logs WHERE run_seq = ? AND tenant_id = ? ORDER BY line
