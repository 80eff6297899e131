SELECT 1 FROM runs WHERE tenant_id = ? AND order_key = ? AND finished_at IS NULL AND held_by IS NOT 'order'
