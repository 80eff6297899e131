UPDATE limits SET used = used + 1 WHERE key = ?
