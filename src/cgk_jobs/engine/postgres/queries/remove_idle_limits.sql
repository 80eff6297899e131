-- Budgets the caller has locked, but for those in which somebody has started or was parked before it held them: a statement of its
-- own, so that it sees them.
DELETE FROM cgk_jobs.limits l
USING unnest($2::text[], $3::text[], $4::bigint[]) AS s (tenant_id, key, micros)
WHERE l.tenant_id = s.tenant_id AND l.key = s.key
    AND NOT EXISTS (SELECT FROM cgk_jobs.rate_starts r WHERE r.tenant_id = l.tenant_id AND r.key = l.key
        AND r.at > coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) - s.micros)
    AND NOT EXISTS (SELECT FROM cgk_jobs.runs r WHERE r.held_by = l.key)
RETURNING l.tenant_id, l.key
