INSERT INTO cgk_jobs.tenants (id, added, created_at)
SELECT id, false, coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) FROM unnest($1::text[]) AS s (id)
ON CONFLICT DO NOTHING
