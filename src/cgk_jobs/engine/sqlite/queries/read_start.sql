SELECT at FROM rate_starts WHERE key = ? AND place = ?
