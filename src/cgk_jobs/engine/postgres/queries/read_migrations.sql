SELECT version, name, checksum FROM cgk_jobs.migrations ORDER BY version
