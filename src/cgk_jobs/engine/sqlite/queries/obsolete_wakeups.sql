SELECT id, tenant_id, run_seq, run_nonce, task, queue, lane, due_at, reference FROM wakeups
WHERE provider = ? AND obsolete = 1 AND rings_at IS NOT NULL AND refused IS NULL ORDER BY id LIMIT ?
