-- Given up.
UPDATE cgk_jobs.wakeups w SET obsolete = true FROM (
    SELECT tenant_id, id FROM cgk_jobs.wakeups WHERE provider = $1 AND NOT obsolete AND due_at <= $2 AND rings_at <= $2
    FOR UPDATE SKIP LOCKED
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
RETURNING w.tenant_id, w.run_seq
