SELECT seq, tenant_id, queue, lane, vstart, jumped FROM runs WHERE held_by = ? ORDER BY rank, vstart, lane DESC, seq LIMIT ?
