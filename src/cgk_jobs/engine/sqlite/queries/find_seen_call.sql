SELECT 1 FROM seen_calls WHERE key = ?
