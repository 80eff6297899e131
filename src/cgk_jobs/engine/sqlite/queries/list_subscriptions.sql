SELECT task, event, queue, rank, lane, expires, tags, flow FROM subscriptions ORDER BY task
