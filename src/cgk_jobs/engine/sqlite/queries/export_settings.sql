SELECT * FROM tenants WHERE id = ?
