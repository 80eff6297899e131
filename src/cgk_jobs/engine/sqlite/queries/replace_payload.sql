UPDATE runs SET payload = ?, event_version = ?, due_at = ?, expires_at = ?, tags = ?, events = events + 1 WHERE seq = ? AND tenant_id = ?
