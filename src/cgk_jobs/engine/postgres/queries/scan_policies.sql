-- Every policy of the schema's tables, with its roles; none of them means PUBLIC.
SELECT c.relname::text AS relation, p.polname::text AS name, p.polcmd::text AS command, p.polpermissive AS permissive,
       ARRAY (SELECT r.rolname::text FROM pg_catalog.pg_roles r WHERE r.oid = ANY (p.polroles) ORDER BY 1) AS roles,
       pg_catalog.pg_get_expr(p.polqual, p.polrelid) AS reads, pg_catalog.pg_get_expr(p.polwithcheck, p.polrelid) AS writes
FROM pg_catalog.pg_policy p JOIN pg_catalog.pg_class c ON c.oid = p.polrelid
WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs')
ORDER BY c.relname, p.polname
