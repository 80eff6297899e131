UPDATE cgk_jobs.workers w SET beat_at = n.now, lease_until = n.now + s.lease
FROM (VALUES {leases}) AS s (id, lease), (SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now) n
WHERE w.id = s.id
