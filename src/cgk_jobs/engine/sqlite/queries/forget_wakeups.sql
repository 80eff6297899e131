-- Wake-ups that need not be taken back: refused ones that are obsolete, and those of which it will never be known whether the
-- provider has them. One that rings all the same is answered as unknown.
DELETE FROM wakeups WHERE id IN (
    SELECT id FROM wakeups WHERE obsolete = 1 AND refused IS NOT NULL
    UNION ALL
    SELECT w.id FROM wakeups w LEFT JOIN runs r ON r.seq = w.run_seq AND r.tenant_id = w.tenant_id
    WHERE w.rings_at IS NULL AND w.issued_at <= ? AND (w.obsolete = 1 OR NOT coalesce(
        (r.state = 'queued' AND r.held_by IS NULL) OR r.state = 'running' OR r.due_at IS NOT NULL, 0)))
