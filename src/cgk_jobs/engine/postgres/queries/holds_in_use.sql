SELECT s.held_by FROM unnest($1::text[]) AS s (held_by)
WHERE EXISTS (SELECT FROM cgk_jobs.runs r WHERE r.held_by = s.held_by)
