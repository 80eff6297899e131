-- One range scan of runs_ready, in the order of the index.
SELECT seq, nonce, claim + 1, tenant_id, task, queue, attempt, event_seq, event_name, event_version, payload, tags, expires_at, vstart, lane, jumped,
    created_at, slots, parent_seq, parent_step, depth, failing, order_key
FROM runs WHERE queue = ? AND state = 'queued' AND held_by IS NULL ORDER BY rank, vstart LIMIT ?
