INSERT INTO tenants (id, added, created_at) VALUES (?, 0, ?) ON CONFLICT DO NOTHING
