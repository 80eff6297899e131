SELECT EXISTS (SELECT FROM cgk_jobs.seen_calls WHERE key = $1)
