SELECT id FROM tenants UNION SELECT DISTINCT tenant_id FROM runs WHERE tenant_id <> 'platform' ORDER BY 1
