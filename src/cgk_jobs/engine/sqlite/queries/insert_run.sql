INSERT INTO runs (seq, nonce, tenant_id, task, queue, state, rank, lane, vstart, jumped, due_at, expires_at, held_by, event_seq, event_name,
    event_version, payload, tags, tick_at, replay_of, created_at, parent_seq, parent_step, depth, direct, flow_key, order_key)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
