UPDATE cgk_jobs.runs r SET held_by = s.held_by FROM unnest($1::text[], $2::bigint[], $3::text[]) AS s (tenant_id, seq, held_by)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.state = 'queued'
