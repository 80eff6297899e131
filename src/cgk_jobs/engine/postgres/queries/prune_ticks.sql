DELETE FROM cgk_jobs.ticks WHERE (tenant_id, task, tick_at) IN (
    SELECT tenant_id, task, tick_at FROM cgk_jobs.ticks WHERE tick_at < $1 LIMIT $2 FOR UPDATE SKIP LOCKED)
