SELECT to_jsonb(t)::text AS row, {key} FROM cgk_jobs.{table} t WHERE t.tenant_id = $1{further} ORDER BY {key} LIMIT $2
