-- Every relation of the schema that holds or shows rows.
SELECT c.oid::bigint AS id, c.relname::text AS name, c.relkind::text AS kind, pg_catalog.pg_get_userbyid(c.relowner)::text AS owner,
       c.relrowsecurity AS enabled, c.relforcerowsecurity AS forced, c.relispartition AS partition,
       coalesce('security_invoker=true' = ANY (c.reloptions) OR 'security_invoker=on' = ANY (c.reloptions), false) AS invoker,
       EXISTS (SELECT FROM pg_catalog.pg_attribute a
               WHERE a.attrelid = c.oid AND a.attname = 'tenant_id' AND NOT a.attisdropped) AS has_tenant
FROM pg_catalog.pg_class c
WHERE c.relnamespace = pg_catalog.to_regnamespace('cgk_jobs') AND c.relkind IN ('r', 'p', 'v', 'm', 'f', 'S')
ORDER BY c.relname
