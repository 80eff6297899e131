DELETE FROM wakeups WHERE id IN (SELECT value FROM json_each(?))
RETURNING id, tenant_id, run_seq, run_nonce, task, queue, lane, due_at, reference
