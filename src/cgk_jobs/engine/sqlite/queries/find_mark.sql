SELECT event_seq, run_seq FROM event_marks
WHERE tenant_id = ? AND event = ? AND fields = ? AND wanted = ? AND event_seq > ? ORDER BY event_seq LIMIT 1
