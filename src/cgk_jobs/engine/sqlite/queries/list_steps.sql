SELECT name, result, finished_at FROM steps WHERE run_seq = ? AND tenant_id = ? ORDER BY place
