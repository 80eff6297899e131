INSERT INTO unrouted_events (seq, nonce, tenant_id, name, version, payload, created_at) VALUES (?, ?, ?, ?, ?, ?, ?)
