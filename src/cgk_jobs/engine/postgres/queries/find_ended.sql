SELECT flow_key, order_key FROM cgk_jobs.finished_runs WHERE tenant_id = $1 AND seq = $2 AND state IN ('failed', 'cancelled', 'expired')
