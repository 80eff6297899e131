DELETE FROM cgk_jobs.throttles WHERE (tenant_id, key, place) IN (
    SELECT tenant_id, key, place FROM cgk_jobs.throttles
    WHERE expires_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) ORDER BY expires_at LIMIT $2)
