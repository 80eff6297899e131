UPDATE limits SET parked = 0, wake_at = NULL WHERE key = ?
