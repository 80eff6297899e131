UPDATE runs SET state = 'queued', due_at = NULL, queue = ?, vstart = ?, jumped = ?, held_by = ? WHERE seq = ?
