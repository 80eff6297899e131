UPDATE cgk_jobs.workers w SET beat_at = n.now, lease_until = n.now + $2::bigint
FROM (SELECT coalesce($3::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now) n
WHERE w.id = $1
