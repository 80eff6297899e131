-- One that another process is about is passed by; one that lives after all is left alone.
SELECT id FROM cgk_jobs.workers
WHERE id = $1 AND lease_until <= coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FOR UPDATE SKIP LOCKED
