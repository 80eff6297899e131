SELECT key, tenant_id, capacity FROM cgk_jobs.limits WHERE wake_at <= $1 ORDER BY key LIMIT 100 FOR UPDATE SKIP LOCKED
