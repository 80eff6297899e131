SELECT id, added, timezone, weight, concurrency, rate, rate_seconds, paused, created_at FROM cgk_jobs.tenants WHERE id = $1
