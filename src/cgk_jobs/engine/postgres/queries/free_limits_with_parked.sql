SELECT key, tenant_id, capacity - used AS free FROM cgk_jobs.limits
WHERE parked AND wake_at IS NULL AND used < capacity ORDER BY key FOR UPDATE SKIP LOCKED
