SELECT id FROM cgk_jobs.workers WHERE id = $1 FOR UPDATE
