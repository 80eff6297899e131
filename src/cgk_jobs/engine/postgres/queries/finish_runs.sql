-- Runs that end while nobody runs them, for history. Rows answer with the slots they gave up and who waits for them. The caller holds the rows, or
-- takes them here: in the order of locking.py.
WITH ended AS (
    DELETE FROM cgk_jobs.runs r
    USING unnest($1::text[], $2::bigint[], $3::text[]) AS s (tenant_id, seq, new_state)
    WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.state <> 'running'
    RETURNING r.*, s.new_state
), kept AS (
    INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, expires_at, tick_at, replay_of,
        parent_seq, depth, direct, events, parent_step, failing, metadata, flow_key, order_key,
        created_at, started_at,
        finished_at, event_version, attempt, rank, lane, tenant_id, task, queue, state, event_name, payload, tags, error, progress)
    SELECT e.seq, e.nonce, e.event_seq, e.claim, e.expires_at, e.tick_at, e.replay_of,
        e.parent_seq, e.depth, e.direct, e.events, e.parent_step, e.failing, e.metadata, e.flow_key, e.order_key,
        e.created_at, e.started_at,
        coalesce($4::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), e.event_version, e.attempt, e.rank, e.lane,
        e.tenant_id, e.task, e.queue, e.new_state, e.event_name, e.payload, e.tags, coalesce($5::text, e.error), e.progress
    FROM ended e
)
SELECT tenant_id, seq, slots, order_key, octet_length(payload) AS payload_bytes, nonce, parent_seq, parent_step, new_state AS state,
    coalesce($5::text, error) AS error, held_by
FROM ended
