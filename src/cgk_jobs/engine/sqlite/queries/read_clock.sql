SELECT value FROM clocks WHERE queue = ? AND tenant_id = ?
