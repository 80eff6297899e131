DELETE FROM event_waits WHERE run_seq IN (SELECT value FROM json_each(?))
