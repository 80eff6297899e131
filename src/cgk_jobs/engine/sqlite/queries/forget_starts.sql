DELETE FROM rate_starts WHERE key = ?
