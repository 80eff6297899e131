INSERT INTO runs (seq, nonce, tenant_id, task, queue, state, vstart, due_at, expires_at, event_seq, event_name, event_version, payload, tags, created_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
