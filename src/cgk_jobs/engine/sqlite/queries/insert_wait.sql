INSERT INTO event_waits (tenant_id, event, fields, wanted, run_seq, step) VALUES (?, ?, ?, ?, ?, ?) ON CONFLICT DO NOTHING
