-- What follows a place may be asked for in another order: an outcome before it will change.
UPDATE cgk_jobs.steps e SET ordered = false
FROM unnest($1::text[], $2::bigint[], $3::integer[]) AS s (tenant_id, run_seq, place)
WHERE e.tenant_id = s.tenant_id AND e.run_seq = s.run_seq AND e.place > s.place AND e.ordered
