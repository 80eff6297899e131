DELETE FROM cgk_jobs.quota_counters WHERE tenant_id = $1
