-- One tenant's runs, newest first, by the key of each table. {where} and {finished} are fixed texts of reads.py.
SELECT * FROM (
    (SELECT r.seq, r.nonce, r.tenant_id, r.task, r.queue, r.state, r.lane, r.attempt, r.claim, r.worker, r.event_seq, r.event_name,
        r.event_version, r.payload, NULL::text AS result, r.error, r.progress, r.tags, r.created_at, r.due_at, r.started_at,
        NULL::bigint AS finished_at, r.held_by, r.expires_at, r.tick_at, r.replay_of, r.parent_seq, r.failing, r.metadata, r.events
    FROM cgk_jobs.runs r WHERE {where} AND r.seq < $1 ORDER BY r.seq DESC LIMIT $2)
    UNION ALL
    (SELECT r.seq, r.nonce, r.tenant_id, r.task, r.queue, r.state, r.lane, r.attempt, r.claim, NULL::integer, r.event_seq, r.event_name,
        r.event_version, r.payload, r.result, r.error, r.progress, r.tags, r.created_at, NULL::bigint, r.started_at, r.finished_at,
        NULL::text, r.expires_at, r.tick_at, r.replay_of, r.parent_seq, r.failing, r.metadata, r.events
    FROM cgk_jobs.finished_runs r WHERE {where} AND {finished} AND r.seq < $1 ORDER BY r.seq DESC LIMIT $2)
) found ORDER BY seq DESC LIMIT $2
