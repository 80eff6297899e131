SELECT tenant_id, key, used = 0 AND NOT parked AND wake_at IS NULL AS idle FROM cgk_jobs.limits
WHERE (tenant_id, key) > ($1, $2) ORDER BY tenant_id, key LIMIT $3
