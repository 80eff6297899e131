INSERT INTO run_tags (tenant_id, tag, run_seq) VALUES (?, ?, ?) ON CONFLICT DO NOTHING
