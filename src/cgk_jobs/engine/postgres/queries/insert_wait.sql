INSERT INTO cgk_jobs.event_waits (tenant_id, event, fields, wanted, run_seq, step) VALUES ($1, $2, $3, $4, $5, $6) ON CONFLICT DO NOTHING
