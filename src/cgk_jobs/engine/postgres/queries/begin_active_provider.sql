INSERT INTO cgk_jobs.active_provider (name, draining, version) VALUES ($1, $2, 1) ON CONFLICT DO NOTHING
