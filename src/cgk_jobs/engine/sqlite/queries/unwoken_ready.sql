-- Ready runs at the front of a queue that have no wake-up which is due, is of this queue, and is where it should be.
SELECT r.tenant_id, r.seq, r.nonce, r.task, r.queue, r.lane, :now, r.payload, w.id
FROM (
    SELECT tenant_id, seq, nonce, task, queue, lane, rank, vstart,
        CASE WHEN task IN (SELECT value FROM json_each(:tasks)) THEN payload END AS payload
    FROM runs WHERE queue = :queue AND state = 'queued' AND held_by IS NULL ORDER BY rank, vstart LIMIT :looked_at
) r
LEFT JOIN wakeups w ON w.tenant_id = r.tenant_id AND w.run_seq = r.seq AND w.obsolete = 0
WHERE w.id IS NULL OR w.due_at > :now OR w.queue <> r.queue OR w.provider NOT IN (:active, :provider)
ORDER BY r.rank, r.vstart LIMIT :count
