UPDATE limits SET parked = 1, wake_at = coalesce(?, wake_at) WHERE key = ?
