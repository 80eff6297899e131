SELECT parent_seq, parent_step, held_by, nonce, state, result, error FROM runs WHERE seq = ?
