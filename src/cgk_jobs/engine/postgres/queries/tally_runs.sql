SELECT tenant_id, task, event_name, state, count(*), sum(attempt - 1) FROM cgk_jobs.runs GROUP BY tenant_id, task, event_name, state
UNION ALL
SELECT tenant_id, task, event_name, state, count(*), sum(attempt - 1) FROM cgk_jobs.finished_runs
GROUP BY tenant_id, task, event_name, state
