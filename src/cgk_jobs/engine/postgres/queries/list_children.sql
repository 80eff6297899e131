SELECT seq FROM (
    (SELECT r.seq FROM cgk_jobs.runs r WHERE r.tenant_id = $1 AND r.parent_seq = $2 AND r.seq > $3 ORDER BY r.seq LIMIT $4)
    UNION ALL
    (SELECT f.seq FROM cgk_jobs.finished_runs f WHERE f.tenant_id = $1 AND f.parent_seq = $2 AND f.seq > $3 ORDER BY f.seq LIMIT $4)
) found ORDER BY seq LIMIT $4
