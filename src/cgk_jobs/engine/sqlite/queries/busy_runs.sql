SELECT seq, tenant_id, task, claim, attempt, slots, cancel_asked, order_key FROM runs WHERE worker = ? AND state = 'running'
