-- The next ready runs of a tenant after number $3; answers the last one's number, or nothing when there was none. Runs that are
-- being claimed are waited for, and are then no longer ready.
WITH found AS MATERIALIZED (
    SELECT tenant_id, seq FROM cgk_jobs.runs
    WHERE tenant_id = $1 AND seq > $3 AND state = 'queued' AND held_by IS NULL
    ORDER BY seq LIMIT $4 FOR UPDATE
), parked AS (
    UPDATE cgk_jobs.runs r SET held_by = $2 FROM found f WHERE r.tenant_id = f.tenant_id AND r.seq = f.seq
)
SELECT max(seq) FROM found
