SELECT seq, tenant_id, task, claim, attempt, slots, cancel_asked FROM runs WHERE worker = ? AND state = 'running'
