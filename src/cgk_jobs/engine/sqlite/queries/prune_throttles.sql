DELETE FROM throttles WHERE (tenant_id, key, place) IN (SELECT tenant_id, key, place FROM throttles WHERE expires_at <= ? LIMIT 10000)
