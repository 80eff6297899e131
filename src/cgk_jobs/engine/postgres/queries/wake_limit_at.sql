UPDATE cgk_jobs.limits SET wake_at = $3 WHERE key = $1 AND tenant_id = $2
