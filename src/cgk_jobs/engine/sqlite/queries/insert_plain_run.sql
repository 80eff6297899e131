-- A run with nothing out of the ordinary: what insert_run.sql writes besides is the column's default.
INSERT INTO runs (seq, nonce, tenant_id, task, queue, state, vstart, event_seq, event_name, event_version, payload, tags, created_at)
VALUES (?, ?, ?, ?, ?, 'queued', ?, ?, ?, ?, ?, ?, ?)
