-- Guarded by the claim: a row not changed means the attempt had lost its run.
UPDATE runs SET state = 'completed', result = ?, finished_at = ?, error = NULL, worker = NULL, cancel_asked = 0, expires_at = NULL
WHERE seq = ? AND claim = ? AND state = 'running'
