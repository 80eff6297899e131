-- Some wake-ups of a provider by id, and whether their runs may still need them.
SELECT w.id, w.tenant_id, coalesce(
    (r.state = 'queued' AND r.held_by IS NULL) OR r.state = 'running' OR r.due_at IS NOT NULL, 0)
FROM wakeups w INDEXED BY wakeups_by_id LEFT JOIN runs r ON r.seq = w.run_seq AND r.tenant_id = w.tenant_id
WHERE w.id > :after AND w.provider = :provider AND w.obsolete = 0 AND w.rings_at IS NOT NULL ORDER BY w.id LIMIT :count
