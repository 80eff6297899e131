-- A batch of attempts that completed moves to the history, each under its fence, and new runs are claimed in the fair
-- order: one statement, one commit. Claims what needs no look at limits; says how many candidates there were. Nothing is
-- claimed if this process's settings ($6) are not the ledger's, if the worker was given up, or if priorities ($8's jumps)
-- must be looked at first.
WITH current AS MATERIALIZED (
    SELECT coalesce($5::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now, version
    FROM cgk_jobs.configuration
), ended AS (
    DELETE FROM cgk_jobs.runs r
    USING unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[]) AS s (tenant_id, seq, claim, result)
    WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.claim = s.claim AND r.state = 'running'
    RETURNING r.*, s.result
), kept AS (
    INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, tick_at, replay_of,
        parent_seq, depth, direct, events, parent_step, failing, metadata, flow_key, order_key,
        created_at, started_at, finished_at,
        event_version, attempt, rank, lane, tenant_id, task, queue, state, event_name, payload, tags, result, progress)
    SELECT e.seq, e.nonce, e.event_seq, e.claim, e.tick_at, e.replay_of,
        e.parent_seq, e.depth, e.direct, e.events, e.parent_step, e.failing, e.metadata, e.flow_key, e.order_key,
        e.created_at, e.started_at, current.now, e.event_version,
        e.attempt, e.rank, e.lane, e.tenant_id, e.task, e.queue, 'completed', e.event_name, e.payload, e.tags, e.result, e.progress
    FROM ended e, current
    RETURNING seq
), candidates AS MATERIALIZED (
    SELECT r.tenant_id, r.seq, r.task, r.expires_at
    FROM cgk_jobs.runs r
    WHERE r.queue = $8 AND r.state = 'queued' AND r.held_by IS NULL AND (r.rank, r.vstart) >= ($9::integer, $10::double precision)
        AND (SELECT version FROM current) = $6 AND EXISTS (SELECT FROM cgk_jobs.workers WHERE id = $7)
        AND NOT EXISTS (SELECT FROM cgk_jobs.jumps WHERE queue = $8)
    ORDER BY r.rank, r.vstart LIMIT $11 FOR UPDATE OF r SKIP LOCKED
), taken AS (
    UPDATE cgk_jobs.runs r
    SET state = 'running', claim = r.claim + 1, worker = $7, started_at = coalesce(r.started_at, current.now), due_at = NULL, woken = false
    FROM candidates c, current
    WHERE r.tenant_id = c.tenant_id AND r.seq = c.seq AND c.task = ANY ($12::text[]) AND c.tenant_id <> ALL ($13::text[])
        AND (c.expires_at IS NULL OR c.expires_at > current.now)
    RETURNING r.seq, r.nonce, r.claim, r.tenant_id, r.task, r.queue, r.attempt, r.event_seq, r.event_name, r.event_version, r.payload,
        r.tags, r.expires_at, r.vstart, r.lane, r.created_at, r.slots, r.rank, r.parent_seq, r.parent_step, r.depth, r.failing,
        r.order_key
)
SELECT (SELECT count(*) FROM kept) AS ended, (SELECT count(*) FROM candidates) AS candidates, (SELECT version FROM current) AS version,
    EXISTS (SELECT FROM cgk_jobs.jumps WHERE queue = $8) AS jumps,
    t.seq, t.nonce, t.claim, t.tenant_id, t.task, t.queue, t.attempt, t.event_seq, t.event_name, t.event_version, t.payload, t.tags,
    t.expires_at, t.vstart, t.lane, 0::double precision AS jumped, t.created_at, t.slots, t.parent_seq, t.parent_step,
    t.depth, t.failing, t.order_key
FROM (SELECT) AS always LEFT JOIN taken t ON true
ORDER BY t.rank, t.vstart
