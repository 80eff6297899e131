DELETE FROM cgk_jobs.seen_calls WHERE until <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
