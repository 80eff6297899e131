DELETE FROM event_waits WHERE tenant_id = ? AND event = ? AND fields = ? AND wanted = ?
