UPDATE runs SET state = 'queued', due_at = NULL, vstart = ? WHERE seq = ?
