UPDATE cgk_jobs.runs SET progress = $4 WHERE tenant_id = $1 AND seq = $2 AND claim = $3 AND state = 'running'
