-- Runs whose time has come, of which everything is decided. awaited: one out of the application's own transaction, and of an event
-- some run may wait for; such runs are told of first (arrivals.py).
SELECT r.tenant_id, r.seq, r.task, r.queue, r.lane,
    r.state = 'scheduled' AND r.due_at = r.created_at AND NOT r.direct
        AND EXISTS (SELECT FROM cgk_jobs.awaited_events w WHERE w.event = r.event_name) AS awaited
FROM cgk_jobs.runs r WHERE r.due_at <= $1 AND NOT r.arriving ORDER BY r.due_at LIMIT $2 FOR UPDATE OF r SKIP LOCKED
