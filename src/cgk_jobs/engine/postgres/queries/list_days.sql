SELECT (extract(epoch FROM to_date(right(c.relname, 8), 'YYYYMMDD')::timestamp) * 1000000)::bigint AS day
FROM pg_catalog.pg_inherits i JOIN pg_catalog.pg_class c ON c.oid = i.inhrelid
WHERE i.inhparent = 'cgk_jobs.finished_runs'::regclass AND c.relname ~ '^finished_runs_[0-9]{8}$'
ORDER BY 1
