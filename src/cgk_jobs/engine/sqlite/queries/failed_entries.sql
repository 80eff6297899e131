SELECT name, result, place FROM steps WHERE run_seq = ? AND failed = 1 ORDER BY place
