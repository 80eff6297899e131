UPDATE limits SET wake_at = ? WHERE key = ?
