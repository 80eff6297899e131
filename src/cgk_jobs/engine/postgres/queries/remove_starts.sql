DELETE FROM cgk_jobs.rate_starts r USING unnest($1::text[], $2::text[]) AS s (tenant_id, key)
WHERE r.tenant_id = s.tenant_id AND r.key = s.key
