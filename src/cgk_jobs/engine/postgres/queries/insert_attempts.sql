INSERT INTO cgk_jobs.attempts (run_seq, claim, ended_at, attempt, tenant_id, outcome, error)
SELECT seq, claim, coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), attempt, tenant_id, outcome, error
FROM unnest($2::text[], $3::bigint[], $4::bigint[], $5::integer[], $6::text[], $7::text[])
    AS s (tenant_id, seq, claim, attempt, outcome, error)
