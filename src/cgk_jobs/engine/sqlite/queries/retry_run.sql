UPDATE runs SET state = 'retrying', due_at = ?, attempt = 1, finished_at = NULL, error = NULL WHERE seq = ? AND state IN ('failed', 'cancelled', 'expired')
