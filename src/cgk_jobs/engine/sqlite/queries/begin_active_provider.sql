INSERT INTO active_provider (only_row, name, draining, version) VALUES (1, ?, ?, 1) ON CONFLICT DO NOTHING
