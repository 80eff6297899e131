-- Entries that wait for one outcome get it. One that is finished stays as it is.
UPDATE cgk_jobs.steps e
SET result = s.result, failed = s.failed, pending = 0,
    finished_at = coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM unnest($2::text[], $3::bigint[], $4::text[], $5::text[], $6::boolean[]) AS s (tenant_id, run_seq, name, result, failed)
WHERE e.tenant_id = s.tenant_id AND e.run_seq = s.run_seq AND e.name = s.name AND e.pending > 0
RETURNING e.tenant_id, e.run_seq, e.name
