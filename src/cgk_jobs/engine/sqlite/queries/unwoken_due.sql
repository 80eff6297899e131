-- Runs that are due later and have no wake-up as early, of the queue they will be in, and where it should be.
SELECT r.tenant_id, r.seq, r.nonce, r.task, r.to_queue, r.lane, max(r.due_at, :now), r.payload, w.id
FROM (
    SELECT q.tenant_id, q.seq, q.nonce, q.task, coalesce(s.queue, q.queue) AS to_queue, q.lane, q.due_at,
        CASE WHEN q.task IN (SELECT value FROM json_each(:tasks)) THEN q.payload END AS payload
    FROM runs q LEFT JOIN subscriptions s ON s.task = q.task WHERE q.due_at <= :until ORDER BY q.due_at LIMIT :looked_at
) r
LEFT JOIN wakeups w ON w.tenant_id = r.tenant_id AND w.run_seq = r.seq AND w.obsolete = 0
WHERE w.id IS NULL OR w.due_at > max(r.due_at, :now) OR w.queue <> r.to_queue OR w.provider NOT IN (:active, :provider)
ORDER BY r.due_at
