INSERT INTO cgk_jobs.idempotency_keys AS k (tenant_id, event, key, payload, event_seq, nonce, run_seqs, expires_at)
VALUES ($1, $2, $3, '', $4, $5, ARRAY[$6::bigint], $7)
ON CONFLICT (tenant_id, event, key) DO UPDATE SET event_seq = excluded.event_seq, nonce = excluded.nonce, run_seqs = excluded.run_seqs,
    expires_at = excluded.expires_at
