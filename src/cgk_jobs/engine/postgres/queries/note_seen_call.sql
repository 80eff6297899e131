INSERT INTO cgk_jobs.seen_calls (key, until) VALUES ($1, $2) ON CONFLICT DO NOTHING
