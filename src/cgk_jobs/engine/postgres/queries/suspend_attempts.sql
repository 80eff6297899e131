-- Attempts whose run goes on later. Guarded by the claim.
UPDATE cgk_jobs.runs r
SET state = s.state, attempt = s.attempt, error = s.error, due_at = s.due_at, held_by = s.held_by, vstart = coalesce(s.vstart, r.vstart),
    slots = s.slots, failing = coalesce(s.failing, r.failing), moved_for = s.moved_for, expires_at = CASE WHEN s.state = 'queued' THEN r.expires_at END, worker = NULL,
    cancel_asked = false
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::text[], $5::integer[], $6::text[], $7::bigint[], $8::text[],
    $9::double precision[], $10::text[], $11::bigint[], $12::text[])
    AS s (tenant_id, seq, claim, state, attempt, error, due_at, held_by, vstart, slots, moved_for, failing)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.claim = s.claim AND r.state = 'running'
RETURNING r.tenant_id, r.seq
