-- The payload of a batch is a JSON array.
UPDATE runs SET payload = substr(payload, 1, length(payload) - 1) || ',' || ? || ']', tags = ?, events = events + 1 WHERE seq = ? AND tenant_id = ?
RETURNING events, length(payload)
