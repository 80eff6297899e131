-- Runs that are due later and have no wake-up as early, of the queue they will be in, and where it should be.
SELECT r.tenant_id, r.seq, r.nonce, r.task, coalesce(s.queue, r.queue) AS queue, r.lane, greatest(r.due_at, $1::bigint) AS due_at,
    r.payload, w.id AS former
FROM (
    SELECT tenant_id, seq, nonce, task, queue, lane, due_at, CASE WHEN task = ANY ($4::text[]) THEN payload END AS payload
    FROM cgk_jobs.runs WHERE due_at <= $5 ORDER BY due_at LIMIT $6
) r
LEFT JOIN cgk_jobs.subscriptions s ON s.task = r.task
LEFT JOIN cgk_jobs.wakeups w ON w.tenant_id = r.tenant_id AND w.run_seq = r.seq AND NOT w.obsolete
WHERE (w.id IS NULL OR w.due_at > greatest(r.due_at, $1) OR w.queue <> coalesce(s.queue, r.queue) OR w.provider NOT IN ($2, $3))
    AND NOT EXISTS (SELECT FROM cgk_jobs.paused p WHERE p.kind = 'queue' AND p.name = coalesce(s.queue, r.queue))
ORDER BY r.due_at
