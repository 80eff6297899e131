SELECT seq, nonce FROM runs WHERE tenant_id = ? AND flow_key = ? AND finished_at IS NULL AND started_at IS NULL ORDER BY seq DESC LIMIT 1
