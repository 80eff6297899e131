-- Runs of a backlog take the places given, and owe nothing for what went ahead of them before. The caller holds the rows.
UPDATE cgk_jobs.runs r
SET held_by = s.held_by, vstart = s.vstart,
    moved_for = greatest(r.moved_for, coalesce((SELECT max(j.seq) FROM cgk_jobs.jumps j WHERE j.queue = r.queue AND j.tenant_id = r.tenant_id), 0))
FROM unnest($1::text[], $2::bigint[], $3::double precision[], $4::text[]) AS s (tenant_id, seq, vstart, held_by)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq
