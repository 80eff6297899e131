SELECT q.queue FROM unnest($1::text[]) WITH ORDINALITY AS q (queue, place)
WHERE EXISTS (SELECT FROM cgk_jobs.runs r WHERE r.queue = q.queue AND r.state = 'queued' AND r.held_by IS NULL)
ORDER BY q.place
