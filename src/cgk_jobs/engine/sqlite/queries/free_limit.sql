UPDATE limits SET used = max(used - 1, 0) WHERE key = ? RETURNING capacity - used, parked
