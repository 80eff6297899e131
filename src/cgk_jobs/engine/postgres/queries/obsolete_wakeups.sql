SELECT id, tenant_id, run_seq, run_nonce, task, queue, lane, due_at, reference FROM cgk_jobs.wakeups
WHERE provider = $1 AND obsolete AND rings_at IS NOT NULL AND refused IS NULL ORDER BY id LIMIT $2
