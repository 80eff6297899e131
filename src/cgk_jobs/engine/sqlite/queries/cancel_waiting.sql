UPDATE runs SET state = 'cancelled', finished_at = ?, due_at = NULL, held_by = CASE WHEN held_by GLOB 'family:*' THEN held_by END,
    error = coalesce(?, error)
WHERE seq = ? AND tenant_id = ? AND state IN ('scheduled', 'queued', 'retrying', 'waiting') RETURNING slots, order_key
