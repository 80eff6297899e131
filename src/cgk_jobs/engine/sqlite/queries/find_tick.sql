SELECT seq, nonce, event_seq FROM runs WHERE tenant_id = ? AND task = ? AND tick_at = ?
