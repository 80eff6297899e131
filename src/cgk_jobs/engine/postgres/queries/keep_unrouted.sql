-- Events of which no run keeps just this payload, for waits that look back.
INSERT INTO cgk_jobs.unrouted_events (seq, nonce, created_at, version, tenant_id, name, payload)
SELECT e.seq, e.nonce, coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), e.version, e.tenant_id, e.name, e.payload
FROM unnest($2::bigint[], $3::bigint[], $4::integer[], $5::text[], $6::text[], $7::text[]) AS e (seq, nonce, version, tenant_id, name, payload)
ON CONFLICT DO NOTHING
