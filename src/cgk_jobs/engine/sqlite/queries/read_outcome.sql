SELECT parent_seq, parent_step, tenant_id, nonce, state, result, error FROM runs WHERE seq = ?
