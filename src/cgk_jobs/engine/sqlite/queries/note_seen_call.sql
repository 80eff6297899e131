INSERT INTO seen_calls (key, until) VALUES (?, ?) ON CONFLICT DO NOTHING
