SELECT kind, name, paused_at FROM cgk_jobs.paused ORDER BY kind COLLATE "C", name COLLATE "C"
