-- The next runs of a day, in the order of their keys.
SELECT tenant_id, seq FROM cgk_jobs.finished_runs
WHERE finished_at >= $1 AND finished_at < $2 AND (tenant_id, seq) > ($3, $4)
ORDER BY tenant_id, seq LIMIT $5
