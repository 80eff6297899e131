UPDATE cgk_jobs.schedules
SET expression = $3, last_at = greatest(last_at, coalesce($4::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
WHERE id = $1 AND timezone = $2
RETURNING id, timezone, expression, last_at, tick_at, missed, after_tenant, previous_at
