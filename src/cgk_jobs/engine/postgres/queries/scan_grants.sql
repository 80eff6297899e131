-- Every right somebody other than the owner has on the schema and what is in it. Without a list of rights PUBLIC has those a
-- new object comes with.
WITH granted AS (
    SELECT 'SCHEMA' AS kind, n.nspname::text AS object, n.nspowner AS owner, coalesce(n.nspacl, pg_catalog.acldefault('n', n.nspowner)) AS acl
    FROM pg_catalog.pg_namespace n WHERE n.nspname = 'cgk_jobs'
    UNION ALL
    SELECT CASE c.relkind WHEN 'S' THEN 'SEQUENCE' ELSE 'TABLE' END, 'cgk_jobs.' || c.relname, c.relowner, c.relacl
    FROM pg_catalog.pg_class c
    WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
    UNION ALL
    SELECT 'COLUMN', 'cgk_jobs.' || c.relname || '.' || a.attname, c.relowner, a.attacl
    FROM pg_catalog.pg_class c JOIN pg_catalog.pg_attribute a ON a.attrelid = c.oid
    WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND a.attacl IS NOT NULL
    UNION ALL
    SELECT 'FUNCTION', p.oid::regprocedure::text, p.proowner, coalesce(p.proacl, pg_catalog.acldefault('f', p.proowner))
    FROM pg_catalog.pg_proc p WHERE p.pronamespace = pg_catalog.to_regnamespace('cgk_jobs')
    UNION ALL
    SELECT 'DEFAULT', 'what ' || pg_catalog.pg_get_userbyid(d.defaclrole) || ' makes', d.defaclrole, d.defaclacl
    FROM pg_catalog.pg_default_acl d
    WHERE d.defaclnamespace = pg_catalog.to_regnamespace('cgk_jobs')
       OR d.defaclrole = (SELECT nspowner FROM pg_catalog.pg_namespace WHERE nspname = 'cgk_jobs')
)
SELECT g.kind, g.object, coalesce(r.rolname::text, 'PUBLIC') AS grantee, e.privilege_type AS privilege, e.is_grantable AS grantable
FROM granted g, pg_catalog.aclexplode(g.acl) e LEFT JOIN pg_catalog.pg_roles r ON r.oid = e.grantee
WHERE e.grantee <> g.owner
ORDER BY 1, 2, 3, 4
