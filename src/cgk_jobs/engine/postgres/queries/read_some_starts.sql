-- The places of the rings that are written next: whether they are old enough decides who may start.
SELECT r.key, r.place, r.at FROM unnest($1::text[], $2::text[], $3::integer[]) AS s (tenant_id, key, place)
JOIN cgk_jobs.rate_starts r ON r.tenant_id = s.tenant_id AND r.key = s.key AND r.place = s.place
