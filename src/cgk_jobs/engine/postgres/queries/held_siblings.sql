-- The next of each group that may be let go, so many of each, in the order in which they were called. One that another
-- transaction holds is being ended, and is not waited for.
SELECT r.tenant_id, r.seq, r.queue, r.lane
FROM unnest($1::text[], $2::text[], $3::integer[]) AS s (tenant_id, hold, count)
CROSS JOIN LATERAL (
    SELECT c.tenant_id, c.seq, c.queue, c.lane FROM cgk_jobs.runs c
    WHERE c.held_by = s.hold AND c.tenant_id = s.tenant_id ORDER BY c.rank, c.vstart LIMIT s.count FOR UPDATE SKIP LOCKED
) r
