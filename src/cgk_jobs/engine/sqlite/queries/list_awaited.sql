SELECT event, fields, since_seq FROM awaited_events
