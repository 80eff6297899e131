-- Each reason once, by one look into the index for each, however many runs are parked for it.
WITH RECURSIVE holds (held_by) AS (
    SELECT min(held_by) FROM cgk_jobs.runs WHERE held_by > 'unknown-task:' AND held_by < 'unknown-task;'
    UNION ALL
    SELECT (SELECT min(r.held_by) FROM cgk_jobs.runs r WHERE r.held_by > holds.held_by AND r.held_by < 'unknown-task;') FROM holds
    WHERE holds.held_by IS NOT NULL
)
SELECT held_by FROM holds WHERE held_by IS NOT NULL
