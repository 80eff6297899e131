SELECT inner_key, outer_key FROM cgk_jobs.tenant_key
