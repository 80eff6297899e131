UPDATE runs SET state = 'queued', attempt = 1, failing = NULL, finished_at = NULL, error = NULL, result = NULL, expires_at = NULL, vstart = ?, jumped = ?, held_by = ?
WHERE seq = ? AND tenant_id = ? AND state IN ('failed', 'cancelled', 'expired')
