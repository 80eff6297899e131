-- The first event after a number that left this mark, wherever it is by now.
SELECT m.event_seq, e.nonce, e.version, e.payload
FROM cgk_jobs.event_marks m
CROSS JOIN LATERAL (
    SELECT r.nonce, r.event_version AS version, r.payload FROM cgk_jobs.runs r WHERE r.tenant_id = m.tenant_id AND r.seq = m.run_seq
    UNION ALL
    SELECT f.nonce, f.event_version, f.payload FROM cgk_jobs.finished_runs f WHERE f.tenant_id = m.tenant_id AND f.seq = m.run_seq
    UNION ALL
    SELECT u.nonce, u.version, u.payload FROM cgk_jobs.unrouted_events u
    WHERE m.run_seq IS NULL AND u.tenant_id = m.tenant_id AND u.seq = m.event_seq
) e
WHERE m.tenant_id = $1 AND m.event = $2 AND m.fields = $3 AND m.wanted = $4 AND m.event_seq > $5
ORDER BY m.event_seq LIMIT 1
