-- Columns with tenants' names or words of which PostgreSQL keeps samples.
SELECT c.relname::text AS relation, a.attname::text AS name
FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND c.relkind IN ('r', 'p') AND NOT a.attisdropped
  AND a.attname = ANY ($1::text[]) AND a.attstattarget IS DISTINCT FROM 0
ORDER BY 1, 2
