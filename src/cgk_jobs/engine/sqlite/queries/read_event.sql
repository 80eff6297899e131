SELECT event_seq, nonce, event_version, payload FROM runs WHERE seq = ?
