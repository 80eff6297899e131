SELECT DISTINCT queue FROM clocks WHERE tenant_id = ?
