-- Each reason once, by one look into the index for each, however many runs are parked for it.
WITH RECURSIVE holds (held_by) AS (
    SELECT min(held_by) FROM runs WHERE held_by > 'unknown-task:' AND held_by < 'unknown-task;'
    UNION ALL
    SELECT (SELECT min(runs.held_by) FROM runs WHERE runs.held_by > holds.held_by AND runs.held_by < 'unknown-task;') FROM holds
    WHERE holds.held_by IS NOT NULL
)
SELECT held_by FROM holds WHERE held_by IS NOT NULL
