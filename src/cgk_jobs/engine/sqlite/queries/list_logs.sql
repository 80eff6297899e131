SELECT at, attempt, level, message FROM run_logs WHERE run_seq = ? ORDER BY line
