SELECT id, timezone, expression, last_at, tick_at, missed, after_tenant, previous_at FROM schedules WHERE id = ? AND timezone = ?
