SELECT seq, tenant_id, task, queue, lane FROM runs WHERE due_at <= ? ORDER BY due_at LIMIT ?
