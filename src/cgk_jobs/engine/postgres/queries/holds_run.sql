-- Locked, so that what follows in the transaction is written under the claim, and by one writer at a time.
SELECT cancel_asked FROM cgk_jobs.runs WHERE tenant_id = $1 AND seq = $2 AND claim = $3 AND state = 'running' FOR NO KEY UPDATE
