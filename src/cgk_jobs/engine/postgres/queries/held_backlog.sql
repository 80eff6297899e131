-- The next of a tenant's runs of one priority that are parked for this reason. One that another transaction holds is not waited for.
SELECT tenant_id, seq, queue, vstart FROM cgk_jobs.runs WHERE held_by = $1 AND lane = $2 ORDER BY rank, vstart LIMIT $3 FOR UPDATE SKIP LOCKED
