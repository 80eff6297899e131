DELETE FROM cgk_jobs.idempotency_keys WHERE (tenant_id, event, key) IN (
    SELECT tenant_id, event, key FROM cgk_jobs.idempotency_keys
    WHERE expires_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED)
