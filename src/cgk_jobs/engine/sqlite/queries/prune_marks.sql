DELETE FROM event_marks WHERE event_seq < ?
