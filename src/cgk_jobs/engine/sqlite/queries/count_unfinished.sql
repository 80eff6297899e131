SELECT count(*), ifnull(sum(length(CAST(payload AS BLOB))), 0) FROM runs WHERE tenant_id = ? AND finished_at IS NULL
