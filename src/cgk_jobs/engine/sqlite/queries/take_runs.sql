-- The claim rises, so whoever held the run before can't write any more.
UPDATE runs SET state = 'running', claim = claim + 1, worker = ?, started_at = coalesce(started_at, ?), due_at = NULL, woken = 0
WHERE seq IN (SELECT value FROM json_each(?))
