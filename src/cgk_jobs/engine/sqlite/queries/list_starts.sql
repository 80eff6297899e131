SELECT at FROM rate_starts WHERE key = ? ORDER BY at DESC LIMIT ?
