INSERT INTO clocks (queue, tenant_id, lane, value, jumped) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET value = max(value, excluded.value), jumped = max(jumped, excluded.jumped)
