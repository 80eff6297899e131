SELECT flow_key, order_key FROM runs WHERE seq = ? AND tenant_id = ? AND state IN ('failed', 'cancelled', 'expired')
