SELECT FROM cgk_jobs.runs WHERE tenant_id = $1 AND order_key = $2 AND held_by IS DISTINCT FROM 'order' LIMIT 1
