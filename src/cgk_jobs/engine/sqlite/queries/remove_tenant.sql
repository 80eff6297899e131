DELETE FROM tenants WHERE id = ?
