SELECT * FROM {table} WHERE tenant_id = ?
