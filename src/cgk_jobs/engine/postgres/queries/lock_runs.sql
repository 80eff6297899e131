SELECT r.tenant_id, r.seq, r.state
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq
ORDER BY r.tenant_id, r.seq DESC FOR UPDATE OF r
