-- The next ready or parked runs of a tenant after number $2 up to number $3, as move_clocks.sql; answers the last one's number.
WITH found AS MATERIALIZED (
    SELECT r.tenant_id, r.seq, coalesce(q.value, 0) AS now
    FROM cgk_jobs.runs r LEFT JOIN cgk_jobs.queue_clocks q ON q.queue = r.queue
    WHERE r.tenant_id = $1 AND r.seq > $2 AND r.seq <= $3 AND r.state = 'queued'
    ORDER BY r.seq LIMIT $5 FOR UPDATE OF r
), moved AS (
    UPDATE cgk_jobs.runs r SET vstart = f.now + (r.vstart - f.now) * $4::double precision
    FROM found f WHERE r.tenant_id = f.tenant_id AND r.seq = f.seq AND r.vstart > f.now
)
SELECT max(seq) FROM found
