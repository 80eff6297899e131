UPDATE wakeups SET obsolete = 1 WHERE tenant_id = ? AND id = ?
