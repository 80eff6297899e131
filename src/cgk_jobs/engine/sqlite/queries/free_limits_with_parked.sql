SELECT key, capacity - used FROM limits WHERE parked = 1 AND wake_at IS NULL AND used < capacity
