SELECT name, result, finished_at, failed, pending > 0 FROM cgk_jobs.steps WHERE tenant_id = $1 AND run_seq = $2
ORDER BY place, finished_at, name COLLATE "C"
