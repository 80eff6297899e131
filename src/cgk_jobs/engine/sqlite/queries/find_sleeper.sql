SELECT tenant_id, task, queue, lane, state FROM runs WHERE seq = ?
