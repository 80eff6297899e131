SELECT seq FROM runs WHERE parent_seq = ? AND tenant_id = ? AND seq > ? ORDER BY seq LIMIT ?
