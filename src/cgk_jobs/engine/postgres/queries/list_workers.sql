SELECT id, pid, host, '' AS lock_file, '' AS doorbell, queues, concurrency, started_at, beat_at FROM cgk_jobs.workers ORDER BY id
