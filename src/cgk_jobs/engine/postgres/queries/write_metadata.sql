UPDATE cgk_jobs.runs SET metadata = $3 WHERE tenant_id = $1 AND seq = $2
