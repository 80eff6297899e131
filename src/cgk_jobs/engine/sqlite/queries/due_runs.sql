SELECT seq, tenant_id, queue FROM runs WHERE due_at <= ? ORDER BY due_at LIMIT 500
