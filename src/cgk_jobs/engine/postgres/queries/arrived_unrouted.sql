-- Of these events those that nobody has been told of until now.
UPDATE cgk_jobs.unrouted_events u SET arriving = false
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
WHERE u.tenant_id = s.tenant_id AND u.seq = s.seq AND u.arriving
RETURNING u.tenant_id, u.seq
