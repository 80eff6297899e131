-- Lines of several runs, each numbered on from its run's last. The caller holds the runs' rows.
INSERT INTO cgk_jobs.run_logs (run_seq, at, line, attempt, tenant_id, level, message)
SELECT s.seq, s.at,
    (SELECT coalesce(max(l.line), 0) FROM cgk_jobs.run_logs l WHERE l.tenant_id = s.tenant_id AND l.run_seq = s.seq) + s.number,
    s.attempt, s.tenant_id, s.level, s.message
FROM unnest($1::text[], $2::bigint[], $3::integer[], $4::integer[], $5::bigint[], $6::text[], $7::text[])
    AS s (tenant_id, seq, attempt, number, at, level, message)
