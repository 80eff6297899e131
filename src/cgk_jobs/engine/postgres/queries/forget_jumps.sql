-- Nothing waits in this queue: nothing is owed.
DELETE FROM cgk_jobs.jumps j WHERE j.queue = $1
    AND NOT EXISTS (SELECT FROM cgk_jobs.runs r WHERE r.queue = $1 AND r.state = 'queued' AND r.held_by IS NULL)
