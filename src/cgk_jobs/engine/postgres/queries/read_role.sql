-- What row security means for this login. Membership counts even where it must be taken up with SET ROLE first.
SELECT session_user::text AS login, owner.rolname::text AS owner,
       bool_or(r.rolsuper) AS superuser, bool_or(r.rolbypassrls) AS bypasses,
       bool_or(pg_catalog.pg_has_role(r.oid, owner.oid, 'MEMBER')) AS owns,
       pg_catalog.has_table_privilege('cgk_jobs.tenant_key', 'SELECT') AS works
FROM pg_catalog.pg_roles r, pg_catalog.pg_class c JOIN pg_catalog.pg_roles owner ON owner.oid = c.relowner
WHERE c.oid = pg_catalog.to_regclass('cgk_jobs.runs') AND r.rolname IN (session_user, current_user)
GROUP BY owner.rolname
