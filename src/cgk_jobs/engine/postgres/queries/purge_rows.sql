DELETE FROM cgk_jobs.{table} t
USING (SELECT {key} FROM cgk_jobs.{table} WHERE tenant_id = $1 ORDER BY {key} LIMIT $2) AS s
WHERE {same}
