-- Queues with ready runs that are not paused: one step in runs_ready for each of them.
WITH RECURSIVE found (queue) AS (
    SELECT (SELECT queue FROM cgk_jobs.runs WHERE state = 'queued' AND held_by IS NULL ORDER BY queue LIMIT 1)
    UNION ALL
    SELECT (SELECT r.queue FROM cgk_jobs.runs r
        WHERE r.queue > found.queue AND r.state = 'queued' AND r.held_by IS NULL ORDER BY r.queue LIMIT 1)
    FROM found WHERE found.queue IS NOT NULL
)
SELECT queue FROM found
WHERE queue IS NOT NULL AND NOT EXISTS (SELECT FROM cgk_jobs.paused p WHERE p.kind = 'queue' AND p.name = found.queue)
