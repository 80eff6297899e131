SELECT tenant_id, seq, claim, attempt, slots, cancel_asked FROM cgk_jobs.runs WHERE worker = $1 AND state = 'running'
ORDER BY tenant_id, seq DESC FOR UPDATE
