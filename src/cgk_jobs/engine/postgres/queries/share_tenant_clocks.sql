-- Places are added up over all processes; a tenant that was idle begins at the queue's now. One that was purged meanwhile
-- is not made anew. As with the queues' clocks, nobody waits on disk for it.
INSERT INTO cgk_jobs.tenant_clocks AS c (tenant_id, queue, given, value)
SELECT tenant_id, queue, given, now + given
FROM unnest($1::text[], $2::text[], $3::double precision[], $4::double precision[]) AS s (tenant_id, queue, given, now)
WHERE EXISTS (SELECT FROM cgk_jobs.tenants t WHERE t.id = s.tenant_id)
ON CONFLICT (tenant_id, queue) DO UPDATE
SET value = greatest(c.value, excluded.value - excluded.given) + excluded.given, given = excluded.given
RETURNING tenant_id, queue, value, set_config('synchronous_commit', 'off', true)
