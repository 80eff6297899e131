INSERT INTO limits (key, tenant_id, capacity) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET capacity = excluded.capacity
