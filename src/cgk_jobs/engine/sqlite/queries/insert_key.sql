INSERT OR REPLACE INTO idempotency_keys (tenant_id, event, key, payload, event_seq, nonce, run_seqs, expires_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
