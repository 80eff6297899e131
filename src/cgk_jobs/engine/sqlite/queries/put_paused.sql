INSERT INTO paused (kind, name, paused_at) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
