INSERT INTO clocks (queue, tenant_id, value) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET value = max(value, excluded.value)
