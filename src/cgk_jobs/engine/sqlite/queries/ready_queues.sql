-- Queues with ready runs: one step in runs_ready for each of them.
WITH RECURSIVE found (queue) AS (
    SELECT (SELECT queue FROM runs WHERE state = 'queued' AND held_by IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT queue FROM runs WHERE queue > found.queue AND state = 'queued' AND held_by IS NULL ORDER BY queue LIMIT 1)
    FROM found WHERE found.queue IS NOT NULL
)
SELECT queue FROM found WHERE queue IS NOT NULL
