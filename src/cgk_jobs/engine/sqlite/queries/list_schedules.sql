SELECT id, timezone, expression, last_at, tick_at, missed, after_tenant, previous_at FROM schedules ORDER BY id, timezone
