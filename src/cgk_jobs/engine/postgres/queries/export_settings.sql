SELECT to_jsonb(t)::text AS row FROM cgk_jobs.tenants t WHERE id = $1
