DELETE FROM {table} WHERE run_seq IN (SELECT value FROM json_each(?))
