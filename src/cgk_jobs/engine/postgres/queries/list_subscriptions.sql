SELECT task, event, queue, rank, lane, expires, tags, flow FROM cgk_jobs.subscriptions ORDER BY task COLLATE "C"
