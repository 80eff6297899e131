DELETE FROM attempts WHERE run_seq IN (SELECT value FROM json_each(?))
