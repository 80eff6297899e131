SELECT metadata FROM cgk_jobs.runs WHERE tenant_id = $1 AND seq = $2 AND claim = $3 AND state = 'running' FOR UPDATE
