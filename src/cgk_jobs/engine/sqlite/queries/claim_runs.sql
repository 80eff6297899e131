-- One range scan of runs_ready; the token rises, so whoever held the run before can't write any more.
UPDATE runs SET state = 'running', claim = claim + 1, worker = :worker, started_at = coalesce(started_at, :now), due_at = NULL
WHERE seq IN (SELECT seq FROM runs WHERE queue = :queue AND state = 'queued' AND held_by IS NULL ORDER BY vstart LIMIT :count)
RETURNING seq, nonce, claim, tenant_id, task, attempt, event_version, payload, tags, expires_at, vstart
