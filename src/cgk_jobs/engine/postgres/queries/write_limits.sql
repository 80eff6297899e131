UPDATE cgk_jobs.limits l
SET capacity = s.capacity, used = s.used, starts = s.starts, parked = l.parked OR s.parked, wake_at = coalesce(s.wake_at, l.wake_at)
FROM unnest($1::text[], $2::text[], $3::integer[], $4::integer[], $5::bigint[], $6::boolean[], $7::bigint[])
    AS s (tenant_id, key, capacity, used, starts, parked, wake_at)
WHERE l.tenant_id = s.tenant_id AND l.key = s.key
