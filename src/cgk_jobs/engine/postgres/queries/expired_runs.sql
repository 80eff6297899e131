SELECT tenant_id, seq FROM cgk_jobs.runs
WHERE expires_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
    AND expires_at IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying')
ORDER BY expires_at LIMIT $2 FOR UPDATE SKIP LOCKED
