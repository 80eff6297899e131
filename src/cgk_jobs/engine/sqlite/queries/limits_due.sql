SELECT key, capacity FROM limits WHERE wake_at <= ? ORDER BY wake_at LIMIT 100
