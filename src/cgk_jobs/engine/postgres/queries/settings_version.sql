SELECT version FROM cgk_jobs.configuration
