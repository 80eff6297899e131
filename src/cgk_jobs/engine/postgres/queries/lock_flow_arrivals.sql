-- Those of these runs of which nothing is decided yet, held: in the order of locking.py; and the moment.
SELECT r.tenant_id, r.seq, coalesce($3::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.arriving
ORDER BY r.tenant_id, r.seq DESC FOR UPDATE OF r
