SELECT run_seq, step FROM event_waits WHERE tenant_id = ? AND event = ? AND fields = ? AND wanted = ?
