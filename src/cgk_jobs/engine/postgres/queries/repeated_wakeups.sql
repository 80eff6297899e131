UPDATE cgk_jobs.wakeups w SET issued_at = $1 FROM (
    SELECT u.tenant_id, u.id, CASE WHEN r.task = ANY ($5::text[]) THEN r.payload END AS payload
    FROM cgk_jobs.wakeups u JOIN cgk_jobs.runs r ON r.tenant_id = u.tenant_id AND r.seq = u.run_seq
    WHERE u.rings_at IS NULL AND NOT u.obsolete AND u.issued_at <= $2 AND u.provider = $3
    ORDER BY u.issued_at LIMIT $4 FOR UPDATE OF u SKIP LOCKED
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
RETURNING w.id, w.tenant_id, w.run_seq, w.run_nonce, w.task, w.queue, w.lane, w.due_at, w.reference, s.payload
