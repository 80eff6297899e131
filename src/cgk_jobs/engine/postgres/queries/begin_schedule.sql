INSERT INTO cgk_jobs.schedules (id, timezone, expression, last_at)
VALUES ($1, $2, $3, coalesce($4::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) ON CONFLICT DO NOTHING
