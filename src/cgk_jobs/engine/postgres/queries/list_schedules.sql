SELECT id, timezone, expression, last_at, tick_at, missed, after_tenant, previous_at FROM cgk_jobs.schedules
ORDER BY id COLLATE "C", timezone COLLATE "C"
