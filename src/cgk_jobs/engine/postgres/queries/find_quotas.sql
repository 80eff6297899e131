SELECT tenant_id, queued_soft, queued_hard, bytes_soft, bytes_hard, sends_soft, sends_hard, sends_seconds, closed FROM cgk_jobs.tenant_quotas WHERE tenant_id = $1
