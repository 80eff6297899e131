SELECT tenant_id FROM quota_counters WHERE recount_at <= ?
