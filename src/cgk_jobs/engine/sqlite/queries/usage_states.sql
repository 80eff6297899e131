SELECT state, count(*), sum(CASE WHEN started_at IS NULL THEN 0 ELSE attempt END), sum(length(CAST(payload AS BLOB))),
    ifnull(sum(length(CAST(result AS BLOB))), 0), min(created_at)
FROM runs WHERE tenant_id = ? GROUP BY state
