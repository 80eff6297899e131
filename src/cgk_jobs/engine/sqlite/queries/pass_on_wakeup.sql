UPDATE wakeups SET tenant_id = ?, run_seq = ?, run_nonce = ?, task = ?, lane = ? WHERE tenant_id = ? AND id = ?
