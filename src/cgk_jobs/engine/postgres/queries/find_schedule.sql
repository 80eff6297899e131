SELECT id, timezone, expression, last_at, tick_at, missed, after_tenant, previous_at FROM cgk_jobs.schedules
WHERE id = $1 AND timezone = $2 FOR UPDATE
