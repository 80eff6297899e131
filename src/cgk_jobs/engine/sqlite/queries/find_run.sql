SELECT seq, nonce, tenant_id, task, queue, state, lane, attempt, claim, worker, event_seq, event_name, event_version, payload, result, error, progress, tags,
    created_at, due_at, started_at, finished_at, held_by, expires_at, tick_at, replay_of, parent_seq, failing, metadata, events
FROM runs WHERE seq = :seq AND nonce = :nonce AND (:tenant IS NULL OR tenant_id = :tenant)
