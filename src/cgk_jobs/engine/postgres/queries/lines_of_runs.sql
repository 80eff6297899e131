SELECT r.tenant_id, r.order_key FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.order_key IS NOT NULL
