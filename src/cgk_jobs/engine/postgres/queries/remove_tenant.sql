DELETE FROM cgk_jobs.tenants WHERE id = $1
