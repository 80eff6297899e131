-- The caller holds the rows.
UPDATE cgk_jobs.runs r SET held_by = s.held_by, vstart = greatest(r.vstart, s.now)
FROM unnest($1::text[], $2::bigint[], $3::double precision[], $4::text[]) AS s (tenant_id, seq, now, held_by)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq
