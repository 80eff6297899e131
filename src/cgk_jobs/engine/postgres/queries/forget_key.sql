DELETE FROM cgk_jobs.idempotency_keys WHERE tenant_id = $1 AND event = $2 AND key = $3
