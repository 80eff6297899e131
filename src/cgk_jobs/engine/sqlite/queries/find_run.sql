SELECT seq, nonce, tenant_id, task, queue, state, attempt, event_seq, event_name, event_version, payload, result, error, tags, created_at, due_at, started_at, finished_at, held_by
FROM runs WHERE seq = :seq AND nonce = :nonce AND (:tenant IS NULL OR tenant_id = :tenant)
