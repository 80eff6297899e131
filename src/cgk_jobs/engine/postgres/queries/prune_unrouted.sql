DELETE FROM cgk_jobs.unrouted_events WHERE (tenant_id, seq) IN (
    SELECT tenant_id, seq FROM cgk_jobs.unrouted_events WHERE seq < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
