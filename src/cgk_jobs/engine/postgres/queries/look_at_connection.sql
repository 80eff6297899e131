-- What an application's connection is, and what its login may do here; it reads catalogues alone, so it fails nowhere. Run in
-- sessions that may be set up to deceive: every name is qualified, operators too.
SELECT pg_catalog.pg_backend_pid(),
    (EXTRACT(epoch FROM pg_catalog.now()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8,
    d.oid::pg_catalog.int8,
    (EXTRACT(epoch FROM pg_catalog.pg_postmaster_start_time()) OPERATOR(pg_catalog.*) 1000000)::pg_catalog.int8,
    pg_catalog.current_setting('cgk_jobs.token', true),
    pg_catalog.array_to_string(pg_catalog.current_schemas(true), ','),
    pg_catalog.current_setting('transaction_read_only')::pg_catalog.bool,
    current_user::pg_catalog.text,
    (SELECT pg_catalog.pg_get_userbyid(p.polroles[1])::pg_catalog.text FROM pg_catalog.pg_policy p
     WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid AND p.polname OPERATOR(pg_catalog.=) 'tenant_sends'),
    coalesce(NOT pg_catalog.row_security_active(c.oid), false)
    OR EXISTS (
        SELECT FROM pg_catalog.pg_policy p
        WHERE p.polrelid OPERATOR(pg_catalog.=) c.oid AND p.polname OPERATOR(pg_catalog.=) ANY ('{tenant_sends,worker_all}'::pg_catalog.name[])
            AND pg_catalog.pg_has_role(p.polroles[1], 'USAGE'))
FROM pg_catalog.pg_database d
LEFT JOIN pg_catalog.pg_namespace n ON n.nspname OPERATOR(pg_catalog.=) 'cgk_jobs'
LEFT JOIN pg_catalog.pg_class c ON c.relnamespace OPERATOR(pg_catalog.=) n.oid AND c.relname OPERATOR(pg_catalog.=) 'runs'
WHERE d.datname OPERATOR(pg_catalog.=) pg_catalog.current_database()
