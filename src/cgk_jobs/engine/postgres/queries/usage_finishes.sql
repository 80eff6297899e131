SELECT finished_at / $3::bigint * $3::bigint, state, count(*) FROM cgk_jobs.finished_runs WHERE tenant_id = $1 AND finished_at >= $2 GROUP BY 1, 2
