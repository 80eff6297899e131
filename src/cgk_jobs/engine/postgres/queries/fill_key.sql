UPDATE cgk_jobs.idempotency_keys SET event_seq = $4, nonce = $5, run_seqs = $6, run_nonces = $7 WHERE tenant_id = $1 AND event = $2 AND key = $3
