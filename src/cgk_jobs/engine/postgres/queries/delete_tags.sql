DELETE FROM cgk_jobs.run_tags c USING unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
WHERE c.tenant_id = s.tenant_id AND c.run_seq = s.seq
