-- The keys that were free, or whose time is over, are taken; a second sender of one key waits here for the first.
INSERT INTO cgk_jobs.idempotency_keys AS k (event_seq, nonce, expires_at, tenant_id, event, key, payload, run_seqs)
SELECT 0, 0, expires_at, tenant_id, event, key, payload, '{}'
FROM unnest($2::text[], $3::text[], $4::text[], $5::text[], $6::bigint[]) AS s (tenant_id, event, key, payload, expires_at)
ORDER BY tenant_id, event, key
ON CONFLICT (tenant_id, event, key) DO UPDATE SET payload = excluded.payload, expires_at = excluded.expires_at
WHERE k.expires_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
RETURNING tenant_id, event, key
