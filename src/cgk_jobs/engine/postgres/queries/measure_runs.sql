SELECT r.tenant_id, count(*) AS runs, sum(octet_length(r.payload))::bigint AS payload_bytes
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq
GROUP BY r.tenant_id
