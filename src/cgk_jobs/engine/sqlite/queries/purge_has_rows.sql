SELECT EXISTS (SELECT 1 FROM {table} WHERE tenant_id = ?)
