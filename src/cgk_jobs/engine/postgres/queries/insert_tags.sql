INSERT INTO cgk_jobs.run_tags (tenant_id, tag, run_seq) SELECT * FROM unnest($1::text[], $2::text[], $3::bigint[])
ON CONFLICT DO NOTHING
