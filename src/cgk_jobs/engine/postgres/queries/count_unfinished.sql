SELECT count(*) AS runs, coalesce(sum(octet_length(payload)), 0)::bigint AS payload_bytes FROM cgk_jobs.runs WHERE tenant_id = $1
