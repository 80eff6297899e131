UPDATE cgk_jobs.active_provider SET name = $1, draining = $2, version = version + 1 WHERE version = $3
