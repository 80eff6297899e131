SELECT ifnull(sum(length(CAST(l.message AS BLOB))), 0) FROM runs r CROSS JOIN run_logs l ON l.run_seq = r.seq WHERE r.tenant_id = ?
