-- Runs of a worker that is gone, which the caller holds. The claim rises, so that nothing of the attempt can be written any
-- more; $3 is 1 where the attempt is spent.
UPDATE cgk_jobs.runs r
SET state = 'retrying', claim = r.claim + 1, attempt = r.attempt + $3::integer, error = $4, worker = NULL, slots = NULL, cancel_asked = false,
    due_at = coalesce($5::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq
