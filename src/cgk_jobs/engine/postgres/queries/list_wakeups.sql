SELECT id, tenant_id, run_seq, run_nonce, task, queue, lane, due_at, reference FROM cgk_jobs.wakeups
WHERE provider = $1 AND id > $2 ORDER BY id LIMIT $3
