-- The payload of a batch is a JSON array.
UPDATE cgk_jobs.runs SET payload = substr(payload, 1, length(payload) - 1) || ',' || $3::text || ']', tags = $4, events = events + 1
WHERE tenant_id = $1 AND seq = $2
RETURNING events, length(payload) AS characters
