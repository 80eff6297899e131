DELETE FROM tenant_quotas WHERE tenant_id = ?
