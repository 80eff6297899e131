SELECT provider, sum(obsolete = 0 AND rings_at IS NOT NULL AND refused IS NULL), sum(obsolete = 0 AND rings_at IS NULL),
    sum(obsolete = 0 AND refused IS NOT NULL), sum(obsolete = 0 AND refused IS NULL AND coalesce(rings_at <= ?, 0)), sum(obsolete)
FROM wakeups GROUP BY provider ORDER BY provider
