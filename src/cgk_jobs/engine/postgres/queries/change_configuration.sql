UPDATE cgk_jobs.configuration SET version = version + 1
