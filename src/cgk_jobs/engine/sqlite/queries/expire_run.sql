UPDATE runs SET state = 'expired', finished_at = ?, due_at = NULL, held_by = CASE WHEN held_by GLOB 'family:*' THEN held_by END
WHERE seq = ? AND state IN ('scheduled', 'queued', 'retrying') RETURNING tenant_id, order_key
