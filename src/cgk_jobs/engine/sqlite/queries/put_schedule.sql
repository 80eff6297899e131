INSERT INTO schedules (id, timezone, expression, last_at, tick_at, missed, after_tenant, previous_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET expression = excluded.expression, last_at = excluded.last_at, tick_at = excluded.tick_at, missed = excluded.missed,
    after_tenant = excluded.after_tenant, previous_at = excluded.previous_at
