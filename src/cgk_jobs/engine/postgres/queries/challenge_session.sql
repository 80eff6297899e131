-- What the server says of this transaction and session, before a tenant is bound: the fields of Challenge. Every name is
-- qualified, operators too: what a session's search_path puts first must not answer for the server, as the answer is signed.
SELECT pg_catalog.pg_backend_pid() AS pid,
       (EXTRACT(epoch FROM pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8 AS started,
       (SELECT d.oid::pg_catalog.int8 FROM pg_catalog.pg_database d
        WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()) AS database,
       cgk_jobs.bound_tenant() AS bound,
       pg_catalog.has_table_privilege('cgk_jobs.tenant_key', 'SELECT') AS privileged,
       NOT pg_catalog.row_security_active('cgk_jobs.runs') AS unguarded,
       pg_catalog.array_to_string(pg_catalog.current_schemas(true), ',') AS path,
       EXISTS (SELECT FROM pg_catalog.pg_prepared_statements p WHERE p.from_sql)
       OR CASE WHEN pg_catalog.pg_my_temp_schema() OPERATOR(pg_catalog.=) 0::pg_catalog.oid THEN false ELSE
          EXISTS (SELECT FROM pg_catalog.pg_class c WHERE c.relnamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
          OR EXISTS (SELECT FROM pg_catalog.pg_proc p WHERE p.pronamespace OPERATOR(pg_catalog.=) pg_catalog.pg_my_temp_schema())
       END AS littered
