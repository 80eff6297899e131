-- The settling half of the exchange alone. Guarded by the claim: a row not answered means the attempt had lost its run.
WITH ended AS (
    DELETE FROM cgk_jobs.runs r
    USING unnest($2::text[], $3::bigint[], $4::bigint[], $5::text[]) AS s (tenant_id, seq, claim, result)
    WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.claim = s.claim AND r.state = 'running'
    RETURNING r.*, s.result
)
INSERT INTO cgk_jobs.finished_runs (seq, nonce, event_seq, claim, tick_at, replay_of,
        parent_seq, depth, direct, events, parent_step, failing, metadata, flow_key, order_key,
        created_at, started_at, finished_at,
    event_version, attempt, rank, lane, tenant_id, task, queue, state, event_name, payload, tags, result, progress)
SELECT e.seq, e.nonce, e.event_seq, e.claim, e.tick_at, e.replay_of,
        e.parent_seq, e.depth, e.direct, e.events, e.parent_step, e.failing, e.metadata, e.flow_key, e.order_key,
        e.created_at, e.started_at,
    coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), e.event_version,
    e.attempt, e.rank, e.lane, e.tenant_id, e.task, e.queue, 'completed', e.event_name, e.payload, e.tags, e.result, e.progress
FROM ended e
RETURNING seq
