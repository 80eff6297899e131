SELECT task, event, queue, rank, lane, expires, tags FROM subscriptions ORDER BY task
