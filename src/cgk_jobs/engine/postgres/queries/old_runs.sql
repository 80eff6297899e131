SELECT tenant_id, seq FROM cgk_jobs.finished_runs WHERE finished_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED
