DELETE FROM cgk_jobs.finished_runs f USING unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
WHERE f.tenant_id = s.tenant_id AND f.seq = s.seq
