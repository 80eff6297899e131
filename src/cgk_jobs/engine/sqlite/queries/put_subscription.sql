INSERT INTO subscriptions (task, event, queue, rank, lane, expires, tags, flow) VALUES (?, ?, ?, ?, ?, ?, ?, ?)
ON CONFLICT DO UPDATE SET event = excluded.event, queue = excluded.queue, rank = excluded.rank, lane = excluded.lane,
    expires = excluded.expires, tags = excluded.tags, flow = excluded.flow
