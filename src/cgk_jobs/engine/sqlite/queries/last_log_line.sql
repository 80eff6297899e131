SELECT ifnull(max(line), 0) FROM run_logs WHERE run_seq = ?
