SELECT event, fields, since_seq FROM cgk_jobs.awaited_events
