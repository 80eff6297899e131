INSERT INTO cgk_jobs.limits (tenant_id, key, capacity)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[]) AS s (tenant_id, key, capacity) ORDER BY key
ON CONFLICT DO NOTHING
