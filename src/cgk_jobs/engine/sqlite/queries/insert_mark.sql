INSERT INTO event_marks (tenant_id, event, fields, wanted, event_seq, run_seq) VALUES (?, ?, ?, ?, ?, ?)
