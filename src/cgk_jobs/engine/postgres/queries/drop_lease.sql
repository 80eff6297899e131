DELETE FROM cgk_jobs.seen_calls WHERE key = $1::text AND ($2::bigint IS NULL OR until = $2::bigint)
