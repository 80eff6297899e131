-- Awaited events out of the application's own transactions, which nobody has been told of yet; the oldest first.
SELECT a.* FROM (
    (SELECT r.tenant_id, r.event_name AS event, r.event_version AS version, r.payload, r.event_seq, r.nonce, r.seq AS run_seq
    FROM cgk_jobs.runs r
    WHERE r.due_at <= $1 AND r.due_at = r.created_at AND r.state = 'scheduled' AND NOT r.direct AND NOT r.arriving
        AND EXISTS (SELECT FROM cgk_jobs.awaited_events w WHERE w.event = r.event_name)
    ORDER BY r.due_at LIMIT $2)
    UNION ALL
    (SELECT u.tenant_id, u.name, u.version, u.payload, u.seq, u.nonce, NULL::bigint FROM cgk_jobs.unrouted_events u
    WHERE u.arriving AND EXISTS (SELECT FROM cgk_jobs.awaited_events w WHERE w.event = u.name)
    ORDER BY u.tenant_id, u.seq LIMIT $2)
) AS a ORDER BY a.event_seq
