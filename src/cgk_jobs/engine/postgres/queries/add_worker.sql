INSERT INTO cgk_jobs.workers (pid, host, queues, concurrency, started_at, beat_at, lease_until)
SELECT $1, $2, $3, $4, n.now, n.now, n.now + $5::bigint
FROM (SELECT coalesce($6::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now) n
RETURNING id
