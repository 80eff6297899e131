-- The moment until which it is held identifies who holds it: a later one always has a later moment.
INSERT INTO cgk_jobs.seen_calls AS held (key, until)
SELECT $1::text, n.now + $2::bigint
FROM (SELECT coalesce($3::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now) n
ON CONFLICT (key) DO UPDATE SET until = excluded.until WHERE held.until <= excluded.until - $2::bigint
RETURNING until
