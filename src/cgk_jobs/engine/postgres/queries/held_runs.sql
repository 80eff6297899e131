-- Runs parked for this reason, in their order. One that another transaction holds is not waited for.
SELECT tenant_id, seq, queue, lane, vstart FROM cgk_jobs.runs WHERE held_by = $1 ORDER BY rank, vstart LIMIT $2 FOR UPDATE SKIP LOCKED
