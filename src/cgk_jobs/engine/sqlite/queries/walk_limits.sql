SELECT key, used = 0 AND parked = 0 AND wake_at IS NULL FROM limits WHERE key > ? ORDER BY key LIMIT ?
