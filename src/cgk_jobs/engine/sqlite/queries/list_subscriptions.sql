SELECT task, event, queue, expires, tags FROM subscriptions ORDER BY task
