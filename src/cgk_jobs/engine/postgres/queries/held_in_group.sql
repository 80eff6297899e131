-- How many of a group are held, and how many outcomes it waits for.
SELECT (SELECT count(*) FROM cgk_jobs.runs WHERE held_by = $3 AND tenant_id = $1) AS held,
    coalesce((SELECT pending FROM cgk_jobs.steps WHERE tenant_id = $1 AND run_seq = $2 AND name = $4), 0) AS pending
