-- Workers whose lease is over, and those that hold runs without being registered: a claim that was under way while its worker
-- was given up.
SELECT w.id FROM cgk_jobs.workers w
WHERE w.lease_until <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
UNION
SELECT r.worker FROM cgk_jobs.runs r
WHERE r.worker IS NOT NULL AND NOT EXISTS (SELECT FROM cgk_jobs.workers w WHERE w.id = r.worker)
ORDER BY 1
