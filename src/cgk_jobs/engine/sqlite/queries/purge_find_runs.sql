SELECT seq, slots FROM runs WHERE tenant_id = ? ORDER BY seq LIMIT ?
