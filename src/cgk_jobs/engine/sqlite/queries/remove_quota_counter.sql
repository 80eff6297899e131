DELETE FROM quota_counters WHERE tenant_id = ?
