-- One relay hands out at a time, and the next goes on where it ended. 1668050538 as in lock_keys, and none of its buckets.
WITH locked AS MATERIALIZED (SELECT pg_advisory_xact_lock(1668050538, -1))
SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now,
    (SELECT name FROM cgk_jobs.active_provider) AS active
FROM locked
