-- The next candidates of a queue with what a claim must know, locked: $4 is the settings' version of this process. owed is how far
-- runs of higher priority have pushed a run back since it got its place.
SELECT r.seq, r.nonce, r.claim + 1 AS claim, r.tenant_id, r.task, r.queue, r.attempt, r.event_seq, r.event_name, r.event_version, r.payload,
    r.tags, r.expires_at, r.vstart, r.lane, 0::double precision AS jumped, r.created_at, r.slots,
    r.parent_seq, r.parent_step, r.depth, r.failing, r.order_key,
    coalesce($5::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now,
    coalesce((SELECT sum(j.cost) FROM cgk_jobs.jumps j
        WHERE j.queue = r.queue AND j.tenant_id = r.tenant_id AND j.seq > greatest(r.seq, r.moved_for) AND j.lane > r.lane), 0) AS owed
FROM cgk_jobs.runs r
WHERE r.queue = $1 AND r.state = 'queued' AND r.held_by IS NULL AND EXISTS (SELECT FROM cgk_jobs.workers WHERE id = $3)
    AND (SELECT version FROM cgk_jobs.configuration) = $4
ORDER BY r.rank, r.vstart LIMIT $2 FOR UPDATE OF r SKIP LOCKED
