SELECT count(*) FROM cgk_jobs.workers
