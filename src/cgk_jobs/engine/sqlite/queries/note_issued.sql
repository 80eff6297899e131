UPDATE wakeups SET issued_at = ? WHERE tenant_id = ? AND id = ?
