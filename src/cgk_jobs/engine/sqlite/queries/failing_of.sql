SELECT failing FROM runs WHERE seq = ? AND tenant_id = ? AND state IN ('failed', 'cancelled', 'expired')
