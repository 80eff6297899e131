-- The priorities of the runs parked for this reason, the highest first.
SELECT DISTINCT lane FROM cgk_jobs.runs WHERE held_by = $1 ORDER BY lane DESC
