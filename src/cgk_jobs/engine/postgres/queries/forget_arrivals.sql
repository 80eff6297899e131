-- Events that nobody listens to and nobody has ever waited for need no telling. A wait that begins later looks back for them.
UPDATE cgk_jobs.unrouted_events u SET arriving = false
FROM (
    SELECT tenant_id, seq FROM cgk_jobs.unrouted_events v
    WHERE v.arriving AND NOT EXISTS (SELECT FROM cgk_jobs.awaited_events w WHERE w.event = v.name)
    ORDER BY tenant_id, seq LIMIT $1 FOR UPDATE SKIP LOCKED
) s
WHERE u.tenant_id = s.tenant_id AND u.seq = s.seq
