-- Wake-ups that need not be taken back: refused ones that are obsolete, and those of which it will never be known whether the
-- provider has them. One that rings all the same is answered as unknown.
WITH refused AS (
    DELETE FROM cgk_jobs.wakeups w USING (
        SELECT tenant_id, id FROM cgk_jobs.wakeups WHERE obsolete AND refused IS NOT NULL FOR UPDATE SKIP LOCKED
    ) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
)
DELETE FROM cgk_jobs.wakeups w USING (
    SELECT u.tenant_id, u.id FROM cgk_jobs.wakeups u LEFT JOIN cgk_jobs.runs r ON r.tenant_id = u.tenant_id AND r.seq = u.run_seq
    WHERE u.rings_at IS NULL AND u.issued_at <= $1 AND (u.obsolete OR NOT coalesce(
        (r.state = 'queued' AND r.held_by IS NULL) OR r.state = 'running' OR r.due_at IS NOT NULL, false))
    FOR UPDATE OF u SKIP LOCKED
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
