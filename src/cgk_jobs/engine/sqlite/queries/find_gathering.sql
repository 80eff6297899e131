-- The run that waits for more events of its key.
SELECT seq, nonce, created_at, queue, lane, tags FROM runs
WHERE tenant_id = ? AND flow_key = ? AND finished_at IS NULL AND state = 'scheduled' ORDER BY seq DESC LIMIT 1
