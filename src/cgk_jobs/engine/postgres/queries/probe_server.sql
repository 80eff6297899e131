-- Asked once on each new connection. own_names: a pooler that knows prepared statements gives them names of its own; one
-- that does not lets the client's through.
SELECT pg_catalog.pg_backend_pid() AS pid,
       pg_catalog.current_setting('server_version_num')::integer AS version,
       pg_catalog.pg_is_in_recovery() AS standby,
       pg_catalog.current_setting('default_transaction_read_only') = 'on' AS read_only,
       pg_catalog.current_setting('lock_timeout') <> '0' AS bounded,
       EXISTS (SELECT FROM pg_catalog.pg_prepared_statements WHERE name LIKE '\_\_asyncpg%') AS own_names
