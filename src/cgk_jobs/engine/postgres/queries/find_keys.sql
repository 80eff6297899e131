SELECT k.tenant_id, k.event, k.key, k.payload, k.event_seq, k.nonce, k.run_seqs, k.run_nonces
FROM unnest($1::text[], $2::text[], $3::text[]) AS s (tenant_id, event, key)
JOIN cgk_jobs.idempotency_keys k ON k.tenant_id = s.tenant_id AND k.event = s.event AND k.key = s.key
