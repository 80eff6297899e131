SELECT at FROM cgk_jobs.rate_starts WHERE tenant_id = $1 AND key = $2 ORDER BY at DESC LIMIT $3
