-- The worker is dead: the attempt is spent, and the claim rises so that nothing of it can be written any more.
UPDATE runs SET worker = NULL, slots = NULL, cancel_asked = 0, claim = claim + 1, attempt = ?, error = ?, state = ?, due_at = ?, finished_at = ?
WHERE seq = ? AND state = 'running'
