DELETE FROM run_logs WHERE run_seq IN (SELECT value FROM json_each(?))
