SELECT min(wake_at) FROM limits WHERE wake_at IS NOT NULL
