SELECT attempt, outcome, error, ended_at FROM cgk_jobs.attempts WHERE tenant_id = $1 AND run_seq = $2 ORDER BY claim
