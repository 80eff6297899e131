SELECT state, sum(runs)::bigint, sum(attempts)::bigint, sum(payload_bytes)::bigint, sum(result_bytes)::bigint, min(oldest) FROM (
    SELECT state, count(*) AS runs, sum(CASE WHEN started_at IS NULL THEN 0 ELSE attempt END) AS attempts,
        sum(octet_length(payload)) AS payload_bytes, 0 AS result_bytes, min(created_at) AS oldest
    FROM cgk_jobs.runs WHERE tenant_id = $1 GROUP BY state
    UNION ALL
    SELECT state, count(*), sum(CASE WHEN started_at IS NULL THEN 0 ELSE attempt END), sum(octet_length(payload)),
        coalesce(sum(octet_length(result)), 0), min(created_at)
    FROM cgk_jobs.finished_runs WHERE tenant_id = $1 GROUP BY state
) AS both_tables GROUP BY state
