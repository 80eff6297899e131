INSERT INTO cgk_jobs.rate_starts (tenant_id, key, place, at)
SELECT * FROM unnest($1::text[], $2::text[], $3::integer[], $4::bigint[])
ON CONFLICT (tenant_id, key, place) DO UPDATE SET at = excluded.at
