-- Some wake-ups of a provider by id, and whether their runs may still need them.
SELECT w.id, w.tenant_id, coalesce(
    (r.state = 'queued' AND r.held_by IS NULL) OR r.state = 'running' OR r.due_at IS NOT NULL, false) AS needed
FROM (
    SELECT id, tenant_id, run_seq FROM cgk_jobs.wakeups
    WHERE provider = $1 AND id > $2 AND NOT obsolete AND rings_at IS NOT NULL ORDER BY id LIMIT $3
) w LEFT JOIN cgk_jobs.runs r ON r.tenant_id = w.tenant_id AND r.seq = w.run_seq
ORDER BY w.id
