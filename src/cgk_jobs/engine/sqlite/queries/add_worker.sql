INSERT INTO workers (pid, host, lock_file, doorbell, queues, concurrency, started_at, beat_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
