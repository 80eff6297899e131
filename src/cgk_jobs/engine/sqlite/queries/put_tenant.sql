INSERT INTO tenants (id, added, timezone, weight, concurrency, rate, rate_seconds, paused, created_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET added = excluded.added, timezone = excluded.timezone, weight = excluded.weight, concurrency = excluded.concurrency,
    rate = excluded.rate, rate_seconds = excluded.rate_seconds, paused = excluded.paused
