SELECT name, result, finished_at, failed, pending > 0 FROM steps WHERE run_seq = ? AND tenant_id = ? ORDER BY place
