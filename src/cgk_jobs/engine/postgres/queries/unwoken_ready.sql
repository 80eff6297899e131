-- Ready runs at the front of queues ($1, with room for $2 more) that have no wake-up which is due, is of this queue, and is where
-- it should be. Queues take turns, so that one does not use up the whole answer.
SELECT r.tenant_id, r.seq, r.nonce, r.task, q.queue, r.lane, $3::bigint AS due_at, r.payload, r.former
FROM unnest($1::text[], $2::integer[]) WITH ORDINALITY AS q (queue, room, place)
CROSS JOIN LATERAL (
    SELECT f.*, w.id AS former, row_number() OVER (ORDER BY f.rank, f.vstart) AS turn
    FROM (
        SELECT tenant_id, seq, nonce, task, lane, rank, vstart, CASE WHEN task = ANY ($6::text[]) THEN payload END AS payload
        FROM cgk_jobs.runs WHERE queue = q.queue AND state = 'queued' AND held_by IS NULL ORDER BY rank, vstart LIMIT $7
    ) f
    LEFT JOIN cgk_jobs.wakeups w ON w.tenant_id = f.tenant_id AND w.run_seq = f.seq AND NOT w.obsolete
    WHERE w.id IS NULL OR w.due_at > $3 OR w.queue <> q.queue OR w.provider NOT IN ($4, $5)
    ORDER BY turn LIMIT q.room
) r
ORDER BY r.turn, q.place LIMIT $8
