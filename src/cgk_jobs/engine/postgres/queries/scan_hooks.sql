-- Triggers and rules on the schema's tables: there should be none, as they run with the rights of whoever writes.
SELECT c.relname::text AS relation, t.tgname::text AS name, 'TRIGGER' AS kind
FROM pg_catalog.pg_trigger t JOIN pg_catalog.pg_class c ON c.oid = t.tgrelid
WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND NOT t.tgisinternal
UNION ALL
SELECT c.relname::text, r.rulename::text, 'RULE'
FROM pg_catalog.pg_rewrite r JOIN pg_catalog.pg_class c ON c.oid = r.ev_class
WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND r.rulename <> '_RETURN'
ORDER BY 1, 2
