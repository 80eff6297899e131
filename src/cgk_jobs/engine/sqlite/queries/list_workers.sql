SELECT id, pid, host, lock_file, doorbell, queues, concurrency, started_at, beat_at FROM workers ORDER BY id
