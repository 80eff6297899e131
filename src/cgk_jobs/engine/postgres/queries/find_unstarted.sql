SELECT seq, nonce FROM cgk_jobs.runs WHERE tenant_id = $1 AND flow_key = $2 AND started_at IS NULL ORDER BY seq DESC LIMIT 1
