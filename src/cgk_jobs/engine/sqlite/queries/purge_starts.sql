DELETE FROM rate_starts WHERE key IN (SELECT key FROM limits WHERE tenant_id = ?)
