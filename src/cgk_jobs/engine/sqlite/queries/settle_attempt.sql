-- Guarded by the claim: a row not changed means the attempt had lost its run.
UPDATE runs SET state = ?, attempt = ?, result = ?, error = ?, due_at = ?, held_by = ?, vstart = ?, jumped = ?, finished_at = ?, slots = ?,
    expires_at = ?, failing = coalesce(?, failing), worker = NULL, cancel_asked = 0
WHERE seq = ? AND claim = ? AND state = 'running'
