-- Runs of higher priority went ahead: these take the places they were pushed to.
UPDATE cgk_jobs.runs r
SET vstart = s.vstart, moved_for = coalesce((SELECT max(j.seq) FROM cgk_jobs.jumps j WHERE j.queue = r.queue AND j.tenant_id = r.tenant_id), 0)
FROM unnest($1::text[], $2::bigint[], $3::double precision[]) AS s (tenant_id, seq, vstart)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq
