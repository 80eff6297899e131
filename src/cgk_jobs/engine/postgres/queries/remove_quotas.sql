DELETE FROM cgk_jobs.tenant_quotas WHERE tenant_id = $1
