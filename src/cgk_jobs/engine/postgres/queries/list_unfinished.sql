SELECT tenant_id, seq FROM cgk_jobs.runs WHERE tenant_id = $1 AND flow_key = $2 ORDER BY seq
