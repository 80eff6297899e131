SELECT seq, nonce, tenant_id, task, queue, state, attempt, event_seq, event_name, event_version, payload, result, error, tags, created_at, due_at, started_at, finished_at, held_by
FROM runs WHERE (:tenant IS NULL OR tenant_id = :tenant) AND (:task IS NULL OR task = :task) AND (:event IS NULL OR event_name = :event)
    AND (:state IS NULL OR state = :state) AND seq < :before ORDER BY seq DESC LIMIT :count
