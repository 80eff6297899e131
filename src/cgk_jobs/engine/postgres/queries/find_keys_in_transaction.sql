-- What keys stand for, as the application's own transaction sees it; whether their time is over. JSON in, JSON out.
WITH asked AS MATERIALIZED (
    SELECT $1::pg_catalog.text::pg_catalog.json AS of
)
SELECT coalesce(json_agg(json_build_array(k.event, k.key, k.payload, k.event_seq, k.nonce, k.run_seqs,
    k.expires_at <= coalesce((a.of ->> 'now')::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))), '[]')::pg_catalog.text
FROM asked a, json_to_recordset(a.of -> 'keys') AS s (tenant_id pg_catalog.text, event pg_catalog.text, key pg_catalog.text)
JOIN cgk_jobs.idempotency_keys k ON k.tenant_id = s.tenant_id AND k.event = s.event AND k.key = s.key
