INSERT OR REPLACE INTO idempotency_keys (tenant_id, event, key, payload, event_id, run_ids, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?)
