SELECT tenant_id, seq, task, queue, lane FROM cgk_jobs.runs WHERE due_at <= $1 ORDER BY due_at LIMIT $2 FOR UPDATE SKIP LOCKED
