INSERT INTO cgk_jobs.paused (kind, name, paused_at)
VALUES ($1, $2, coalesce($3::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) ON CONFLICT DO NOTHING
