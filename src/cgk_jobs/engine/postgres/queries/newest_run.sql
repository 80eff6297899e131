SELECT max(seq) FROM cgk_jobs.runs WHERE tenant_id = $1
