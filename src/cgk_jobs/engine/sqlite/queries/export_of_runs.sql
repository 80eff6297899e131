SELECT c.* FROM runs r CROSS JOIN {table} c ON c.run_seq = r.seq WHERE r.tenant_id = ?
