-- Finished entries wait for so many more outcomes. Without a result an entry is as if it had only been asked for.
UPDATE cgk_jobs.steps e
SET pending = e.pending + s.count, failed = false, result = CASE WHEN s.keep_result THEN e.result END
FROM unnest($1::text[], $2::bigint[], $3::text[], $4::integer[], $5::boolean[]) AS s (tenant_id, run_seq, name, count, keep_result)
WHERE e.tenant_id = s.tenant_id AND e.run_seq = s.run_seq AND e.name = s.name
