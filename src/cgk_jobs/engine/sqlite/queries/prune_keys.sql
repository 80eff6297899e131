DELETE FROM idempotency_keys WHERE (tenant_id, event, key) IN (
    SELECT tenant_id, event, key FROM idempotency_keys WHERE expires_at <= ? LIMIT 1000)
