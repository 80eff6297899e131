SELECT payload, event_seq, nonce, run_seqs FROM idempotency_keys WHERE tenant_id = ? AND event = ? AND key = ? AND expires_at > ?
