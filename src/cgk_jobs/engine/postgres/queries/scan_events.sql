-- Events from before their kind of wait was known, so many at a time; each may be there once for every task that listened.
SELECT e.event_seq, e.nonce, e.version, e.payload FROM (
    (SELECT r.event_seq, r.nonce, r.event_version AS version, r.payload FROM cgk_jobs.runs r
    WHERE r.tenant_id = $1 AND r.event_name = $2 AND r.seq > $3 AND r.seq <= $4 AND r.event_seq > $3 AND NOT r.direct
        AND (r.flow_key IS NULL OR r.flow_key NOT LIKE 'batch:%')
    ORDER BY r.seq LIMIT $5)
    UNION ALL
    (SELECT f.event_seq, f.nonce, f.event_version, f.payload FROM cgk_jobs.finished_runs f
    WHERE f.tenant_id = $1 AND f.event_name = $2 AND f.seq > $3 AND f.seq <= $4 AND f.event_seq > $3 AND NOT f.direct
        AND (f.flow_key IS NULL OR f.flow_key NOT LIKE 'batch:%')
    ORDER BY f.seq LIMIT $5)
    UNION ALL
    (SELECT u.seq, u.nonce, u.version, u.payload FROM cgk_jobs.unrouted_events u
    WHERE u.tenant_id = $1 AND u.name = $2 AND u.seq > $3 AND u.seq <= $4
    ORDER BY u.seq LIMIT $5)
) AS e ORDER BY e.event_seq LIMIT $5
