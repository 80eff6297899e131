SELECT seq, nonce, version, payload FROM unrouted_events WHERE seq = ?
