SELECT coalesce(sum(octet_length(message)), 0)::bigint FROM cgk_jobs.run_logs WHERE tenant_id = $1
