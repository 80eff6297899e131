SELECT name, draining, version FROM cgk_jobs.active_provider
