SELECT seq, queue, lane FROM runs WHERE tenant_id = ? AND order_key = ? AND held_by = 'order' ORDER BY seq LIMIT 1
