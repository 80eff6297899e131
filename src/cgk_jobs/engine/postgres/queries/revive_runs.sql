-- Runs that ended badly come back from the history as if their next attempt were due; who calls gives them their places.
WITH ended AS (
    DELETE FROM cgk_jobs.finished_runs f
    USING unnest($1::text[], $2::bigint[], $3::text[]) AS s (tenant_id, seq, hold)
    WHERE f.tenant_id = s.tenant_id AND f.seq = s.seq AND f.state IN ('failed', 'cancelled', 'expired')
    RETURNING f.*, s.hold
)
INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, claim, tick_at, replay_of,
        parent_seq, depth, direct, events, parent_step, failing, metadata, flow_key, order_key,
        created_at, started_at, event_version, attempt, rank, lane,
    tenant_id, task, queue, state, event_name, payload, tags, progress, held_by)
SELECT e.seq, e.nonce, e.event_seq, e.claim, e.tick_at, e.replay_of,
        e.parent_seq, e.depth, e.direct, e.events, e.parent_step, NULL, e.metadata, e.flow_key, e.order_key,
        e.created_at, e.started_at, e.event_version, 1, e.rank, e.lane,
    e.tenant_id, e.task, e.queue, CASE WHEN e.hold IS NULL THEN 'retrying' ELSE 'queued' END, e.event_name, e.payload, e.tags, e.progress, e.hold
FROM ended e
RETURNING tenant_id, seq
