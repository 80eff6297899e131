-- The worker is dead: the attempt is spent, the claim rises so that nothing of it can be written any more.
UPDATE runs SET worker = NULL, claim = claim + 1, attempt = attempt + 1, error = 'the worker process ended during the attempt',
    state = 'retrying', due_at = :now
WHERE worker = :worker AND state = 'running'
