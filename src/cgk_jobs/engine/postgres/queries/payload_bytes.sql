SELECT octet_length(payload) FROM cgk_jobs.runs WHERE tenant_id = $1 AND seq = $2
