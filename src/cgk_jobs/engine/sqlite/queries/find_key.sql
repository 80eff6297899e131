SELECT payload, event_id, run_ids FROM idempotency_keys WHERE tenant_id = ? AND event = ? AND key = ? AND expires_at > ?
