INSERT INTO rate_starts (key, place, at) VALUES (?, ?, ?) ON CONFLICT DO UPDATE SET at = excluded.at
