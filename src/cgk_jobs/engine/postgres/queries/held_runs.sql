-- Runs parked for this reason, in their order; where places meet, the higher priority first. One that another transaction holds is not waited for.
SELECT tenant_id, seq, queue, lane, vstart FROM cgk_jobs.runs WHERE held_by = $1 ORDER BY rank, vstart, lane DESC, seq LIMIT $2 FOR UPDATE SKIP LOCKED
