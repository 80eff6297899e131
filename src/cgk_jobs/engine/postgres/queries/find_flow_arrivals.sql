-- Runs of tasks with flow control out of the application's own transactions, of which nothing is decided yet; the oldest first.
SELECT tenant_id, seq, nonce, event_seq, task, queue, lane, event_name, event_version, payload, tags, due_at, expires_at, created_at
FROM cgk_jobs.runs WHERE arriving ORDER BY seq LIMIT $1
