DELETE FROM run_tags WHERE run_seq IN (SELECT value FROM json_each(?))
