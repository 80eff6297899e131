-- Groups have so many outcomes less to wait for; how many are left.
UPDATE cgk_jobs.steps e
SET pending = greatest(e.pending - s.count, 0),
    finished_at = coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::integer[]) AS s (tenant_id, run_seq, name, count)
WHERE e.tenant_id = s.tenant_id AND e.run_seq = s.run_seq AND e.name = s.name AND e.pending > 0
RETURNING e.tenant_id, e.run_seq, e.pending
