SELECT lane, value, jumped FROM clocks WHERE queue = ? AND tenant_id = ? ORDER BY lane
