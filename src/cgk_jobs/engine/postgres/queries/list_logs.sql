SELECT at, attempt, level, message FROM cgk_jobs.run_logs WHERE tenant_id = $1 AND run_seq = $2 ORDER BY line
