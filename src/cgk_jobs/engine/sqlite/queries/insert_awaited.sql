INSERT INTO awaited_events (event, fields, since_seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
