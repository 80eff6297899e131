INSERT INTO cgk_jobs.tenants (id, added, timezone, weight, concurrency, rate, rate_seconds, paused, created_at)
VALUES ($1, $2, $3, $4, $5, $6, $7, $8, $9)
ON CONFLICT (id) DO UPDATE SET added = excluded.added, timezone = excluded.timezone, weight = excluded.weight,
    concurrency = excluded.concurrency, rate = excluded.rate, rate_seconds = excluded.rate_seconds, paused = excluded.paused
