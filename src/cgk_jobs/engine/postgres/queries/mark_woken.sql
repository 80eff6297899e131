UPDATE cgk_jobs.runs r SET woken = true FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.state = 'running'
