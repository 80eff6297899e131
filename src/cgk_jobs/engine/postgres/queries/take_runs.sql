-- The claim rises, so whoever held the run before can't write any more.
UPDATE cgk_jobs.runs r
SET state = 'running', claim = r.claim + 1, worker = $1, due_at = NULL, woken = false, slots = s.slots,
    started_at = coalesce(r.started_at, $2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM unnest($3::text[], $4::bigint[], $5::text[]) AS s (tenant_id, seq, slots)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq
