-- Attempts that ended their run, well or badly. Guarded by the claim.
WITH ended AS (
    DELETE FROM cgk_jobs.runs r
    USING unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[], $6::integer[], $7::text[], $8::text[])
        AS s (tenant_id, seq, claim, new_state, new_attempt, result, new_error)
    WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.claim = s.claim AND r.state = 'running'
    RETURNING r.*, s.new_state, s.new_attempt, s.result, s.new_error
)
INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, tick_at, replay_of,
        parent_seq, depth, direct, events, parent_step, failing, metadata, flow_key, order_key,
        created_at, started_at, finished_at,
    event_version, attempt, rank, lane, tenant_id, task, queue, state, event_name, payload, tags, result, error, progress)
SELECT e.seq, e.nonce, e.event_seq, e.claim, e.tick_at, e.replay_of,
        e.parent_seq, e.depth, e.direct, e.events, e.parent_step, e.failing, e.metadata, e.flow_key, e.order_key,
        e.created_at, e.started_at,
    coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), e.event_version,
    e.new_attempt, e.rank, e.lane, e.tenant_id, e.task, e.queue, e.new_state, e.event_name, e.payload, e.tags, e.result, e.new_error,
    e.progress
FROM ended e
RETURNING tenant_id, seq
