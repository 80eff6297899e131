UPDATE cgk_jobs.runs SET payload = $3, event_version = $4, due_at = $5, expires_at = $6, tags = $7, events = events + 1
WHERE tenant_id = $1 AND seq = $2
