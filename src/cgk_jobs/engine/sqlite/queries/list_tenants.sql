SELECT id, added, timezone, weight, concurrency, rate, rate_seconds, paused, created_at FROM tenants ORDER BY id
