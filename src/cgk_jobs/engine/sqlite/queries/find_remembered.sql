-- The run of a key that counts for a while though the run has ended; not one that ended badly.
SELECT runs.seq, runs.nonce FROM idempotency_keys AS kept JOIN runs ON runs.seq = json_extract(kept.run_seqs, '$[0]') AND runs.tenant_id = kept.tenant_id
WHERE kept.tenant_id = ? AND kept.event = ? AND kept.key = ? AND kept.expires_at > ? AND runs.state NOT IN ('failed', 'cancelled', 'expired')
