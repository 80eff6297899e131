-- Give slots back. A limit is the platform's or the run's tenant's; its key names it alone.
UPDATE cgk_jobs.limits l SET used = greatest(l.used - s.count, 0)
FROM unnest($1::text[], $2::text[], $3::integer[]) AS s (tenant_id, key, count)
WHERE l.tenant_id = s.tenant_id AND l.key = s.key
RETURNING l.key, l.tenant_id, l.capacity - l.used AS free, l.parked, s.count
