UPDATE cgk_jobs.schedules SET expression = $3, last_at = $4, tick_at = $5, missed = $6, after_tenant = $7, previous_at = $8
WHERE id = $1 AND timezone = $2
