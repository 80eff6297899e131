DELETE FROM cgk_jobs.paused WHERE kind = $1 AND name = $2
