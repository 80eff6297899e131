INSERT INTO cgk_jobs.jumps (tenant_id, queue, seq, lane, cost) VALUES ($1, $2, $3, $4, $5)
