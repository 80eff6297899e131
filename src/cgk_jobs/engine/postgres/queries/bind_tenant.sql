-- Binds the transaction by its token, and says what came of it: tenant is NULL if the token is not valid here. OFFSET 0 keeps
-- the order: first the setting, then the question.
SELECT pg_catalog.pg_backend_pid() AS pid,
       (EXTRACT(epoch FROM pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 AS started,
       cgk_jobs.bound_tenant() AS tenant
FROM (SELECT pg_catalog.set_config('cgk_jobs.token', $1, true) AS token OFFSET 0) t
WHERE t.token OPERATOR(pg_catalog.<>) ''
OFFSET 0
