INSERT INTO cgk_jobs.throttles (tenant_id, key, place, at, expires_at) VALUES ($1, $2, $3, $4, $5)
