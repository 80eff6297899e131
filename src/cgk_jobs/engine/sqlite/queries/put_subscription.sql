INSERT INTO subscriptions (task, event, queue, expires, tags) VALUES (?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET event = excluded.event, queue = excluded.queue, expires = excluded.expires, tags = excluded.tags
