-- Keys, unique indexes and foreign keys of tables with tenants that leave the tenant out.
SELECT t.relname::text AS relation, i.relname::text AS name, 'unique' AS kind
FROM pg_catalog.pg_index x JOIN pg_catalog.pg_class t ON t.oid = x.indrelid JOIN pg_catalog.pg_class i ON i.oid = x.indexrelid
JOIN pg_catalog.pg_attribute a ON a.attrelid = t.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped
WHERE t.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND x.indisunique
  AND NOT a.attnum = ANY ((x.indkey::smallint[])[0:x.indnkeyatts - 1])
UNION ALL
SELECT t.relname::text, c.conname::text, 'foreign'
FROM pg_catalog.pg_constraint c JOIN pg_catalog.pg_class t ON t.oid = c.conrelid
LEFT JOIN pg_catalog.pg_attribute a ON a.attrelid = c.conrelid AND a.attname = 'tenant_id' AND NOT a.attisdropped
LEFT JOIN pg_catalog.pg_attribute f ON f.attrelid = c.confrelid AND f.attname = 'tenant_id' AND NOT f.attisdropped
WHERE c.contype = 'f' AND (t.relnamespace = pg_catalog.to_regnamespace('cgk_jobs')
    OR c.confrelid IN (SELECT oid FROM pg_catalog.pg_class WHERE relnamespace = pg_catalog.to_regnamespace('cgk_jobs')))
  AND (a.attnum IS NOT NULL OR f.attnum IS NOT NULL)
  AND NOT coalesce(pg_catalog.array_position(c.conkey, a.attnum) = pg_catalog.array_position(c.confkey, f.attnum), false)
ORDER BY 1, 2
