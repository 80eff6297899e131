DELETE FROM event_waits WHERE run_seq = ? AND step = ?
