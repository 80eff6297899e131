SELECT pg_catalog.set_config('cgk_jobs.token', $1::pg_catalog.text, true)
