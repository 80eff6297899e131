-- The budgets of a claim, locked in the order of their keys: whoever counts in one waits here for the others.
SELECT l.key, l.capacity, l.used, l.starts
FROM cgk_jobs.limits l
WHERE (l.tenant_id, l.key) IN (SELECT * FROM unnest($1::text[], $2::text[]))
ORDER BY l.key FOR UPDATE
