-- Of these keys, those whose time is over.
DELETE FROM cgk_jobs.idempotency_keys k
USING unnest($2::text[], $3::text[], $4::text[]) AS s (tenant_id, event, key)
WHERE k.tenant_id = s.tenant_id AND k.event = s.event AND k.key = s.key
    AND k.expires_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
