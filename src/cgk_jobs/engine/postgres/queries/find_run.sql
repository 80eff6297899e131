SELECT seq, nonce, tenant_id, task, queue, state, lane, attempt, claim, worker, event_seq, event_name, event_version, payload,
    NULL::text AS result, error, progress, tags, created_at, due_at, started_at, NULL::bigint AS finished_at, held_by, expires_at,
    tick_at, replay_of, parent_seq, failing, metadata, events
FROM cgk_jobs.runs WHERE tenant_id = $1 AND seq = $2 AND nonce = $3
UNION ALL
SELECT seq, nonce, tenant_id, task, queue, state, lane, attempt, claim, NULL::integer, event_seq, event_name, event_version, payload,
    result, error, progress, tags, created_at, NULL::bigint, started_at, finished_at, NULL::text, expires_at, tick_at, replay_of, parent_seq, failing, metadata, events
FROM cgk_jobs.finished_runs WHERE tenant_id = $1 AND seq = $2 AND nonce = $3
