-- Of these events, those that runs wait for or did.
SELECT DISTINCT event FROM cgk_jobs.awaited_events WHERE event = ANY ($1::text[])
