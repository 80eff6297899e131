-- Their process has ended: nobody need wait for them.
UPDATE cgk_jobs.workers w SET lease_until = least(w.lease_until, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM (VALUES {leases}) AS s (id, lease)
WHERE w.id = s.id
