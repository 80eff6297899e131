-- Each reason that begins with $1 (it ends with a colon, which a semicolon follows) once, by one look into the index for
-- each, however many runs are parked for it.
WITH RECURSIVE bounds (first, past) AS (
    SELECT $1::text, rtrim($1::text, ':') || ';'
), holds (held_by) AS (
    SELECT (SELECT min(r.held_by) FROM cgk_jobs.runs r WHERE r.held_by > b.first AND r.held_by < b.past) FROM bounds b
    UNION ALL
    SELECT (SELECT min(r.held_by) FROM cgk_jobs.runs r WHERE r.held_by > h.held_by AND r.held_by < b.past) FROM holds h, bounds b
    WHERE h.held_by IS NOT NULL
)
SELECT held_by FROM holds WHERE held_by IS NOT NULL
