-- Every function of the schema.
SELECT p.oid::regprocedure::text AS name, pg_catalog.pg_get_userbyid(p.proowner)::text AS owner, p.prosecdef AS definer,
       (SELECT pg_catalog.substr(s, 13) FROM pg_catalog.unnest(p.proconfig) s WHERE s LIKE 'search\_path=%') AS path
FROM pg_catalog.pg_proc p
WHERE p.pronamespace = pg_catalog.to_regnamespace('cgk_jobs')
ORDER BY 1
