UPDATE cgk_jobs.limits SET parked = false, wake_at = NULL WHERE key = $1 AND tenant_id = $2
