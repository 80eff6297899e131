DELETE FROM cgk_jobs.event_waits WHERE tenant_id = $1 AND run_seq = $2 AND step = $3
