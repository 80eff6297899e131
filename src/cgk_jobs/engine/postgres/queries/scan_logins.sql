-- The ledger's roles ($1: owner, worker, tenant) and every role that can act as one of them. On PostgreSQL 16 and newer a
-- membership may give neither the rights nor SET ROLE: who made a role has such a one.
WITH acting AS (
    SELECT r.oid, r.rolname, r.rolsuper, r.rolbypassrls, r.rolcanlogin, r.rolcreaterole, r.rolreplication,
           ARRAY (SELECT g.rolname::text FROM pg_catalog.pg_roles g
                  WHERE g.oid <> r.oid AND (g.rolname = ANY ($1::text[]) OR g.rolname = ANY ($2::text[]))
                    AND (pg_catalog.pg_has_role(r.oid, g.oid, 'USAGE') OR pg_catalog.pg_has_role(r.oid, g.oid,
                        CASE WHEN pg_catalog.current_setting('server_version_num')::integer >= 160000 THEN 'SET' ELSE 'MEMBER' END))
                  ORDER BY 1) AS parts
    FROM pg_catalog.pg_roles r
)
SELECT a.rolname::text AS name, a.rolsuper AS superuser, a.rolbypassrls AS bypasses, a.rolcanlogin AS can_login,
       a.rolcreaterole AS makes_roles, a.rolreplication AS replicates, a.parts,
       ARRAY (SELECT n.nspname::text FROM pg_catalog.pg_namespace n
              WHERE n.nspname !~ '^pg_(toast_)?temp' AND pg_catalog.has_schema_privilege(a.oid, n.oid, 'CREATE') ORDER BY 1) AS makes_in,
       EXISTS (SELECT FROM pg_catalog.pg_db_role_setting s
               WHERE s.setrole = a.oid AND s.setdatabase IN (0, (SELECT oid FROM pg_catalog.pg_database
                   WHERE datname = pg_catalog.current_database())) AND 'track_activities=off' = ANY (s.setconfig)) AS discreet
FROM acting a
WHERE a.rolname = ANY ($1::text[]) OR a.parts && $1::text[]
ORDER BY 1
