DELETE FROM cgk_jobs.event_marks WHERE (tenant_id, event, fields, wanted, event_seq) IN (
    SELECT tenant_id, event, fields, wanted, event_seq FROM cgk_jobs.event_marks
    WHERE event_seq < $1 ORDER BY event_seq LIMIT $2 FOR UPDATE SKIP LOCKED)
