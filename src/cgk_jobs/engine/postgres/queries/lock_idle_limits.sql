-- Of these budgets those in which nobody runs or waits, and nobody has started within their window (microseconds). One that a
-- claim holds is in use.
SELECT l.tenant_id, l.key FROM cgk_jobs.limits l
JOIN unnest($2::text[], $3::text[], $4::bigint[]) AS s (tenant_id, key, micros) ON l.tenant_id = s.tenant_id AND l.key = s.key
WHERE l.used = 0 AND NOT l.parked AND l.wake_at IS NULL
    AND NOT EXISTS (SELECT FROM cgk_jobs.rate_starts r WHERE r.tenant_id = l.tenant_id AND r.key = l.key
        AND r.at > coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) - s.micros)
ORDER BY l.key FOR UPDATE OF l SKIP LOCKED
