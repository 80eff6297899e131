SELECT name, result, finished_at FROM steps WHERE run_seq = ? ORDER BY place
