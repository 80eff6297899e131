-- It is a run of its own: waiting for its time, in a line, or ready in a moment. The caller holds its row.
UPDATE cgk_jobs.runs SET arriving = false, flow_key = $3, order_key = $4, payload = $5, state = $6, due_at = $7, expires_at = $8, held_by = $9
WHERE tenant_id = $1 AND seq = $2
