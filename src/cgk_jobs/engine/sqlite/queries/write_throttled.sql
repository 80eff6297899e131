INSERT INTO throttles (tenant_id, key, place, at, expires_at) VALUES (?, ?, ?, ?, ?)
