SELECT id, tenant_id, run_seq, run_nonce, task, queue, lane, due_at, reference FROM wakeups
WHERE id > ? AND provider = ? ORDER BY id LIMIT ?
