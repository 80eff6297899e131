-- The run that waits for more events of its key, held: it can't become due meanwhile.
SELECT seq, nonce, created_at, queue, lane, tags FROM cgk_jobs.runs
WHERE tenant_id = $1 AND flow_key = $2 AND state = 'scheduled' ORDER BY seq DESC LIMIT 1 FOR UPDATE
