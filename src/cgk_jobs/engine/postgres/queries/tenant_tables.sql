-- Tables with rows of tenants, and the columns of their keys.
SELECT c.relname::text AS name, array_agg(a.attname::text ORDER BY k.place) AS key
FROM pg_catalog.pg_class c
JOIN pg_catalog.pg_index x ON x.indrelid = c.oid AND x.indisprimary
CROSS JOIN LATERAL unnest(x.indkey::smallint[]) WITH ORDINALITY AS k (number, place)
JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid AND a.attnum = k.number
WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND c.relkind IN ('r', 'p') AND NOT c.relispartition
  AND EXISTS (SELECT FROM pg_catalog.pg_attribute t WHERE t.attrelid = c.oid AND t.attname = 'tenant_id' AND NOT t.attisdropped)
GROUP BY c.relname ORDER BY c.relname
