-- Of these transactions those that are under way still; without any, all that look at the settings now. A statement takes its
-- tables' locks before its snapshot, so one that sees the settings as they were a moment ago is among them. Only the engine's own:
-- a backup reads every table for hours, and sends nothing.
SELECT DISTINCT l.virtualtransaction AS transaction
FROM pg_catalog.pg_locks l JOIN pg_catalog.pg_stat_activity a ON a.pid = l.pid
WHERE l.locktype = 'relation' AND l.relation = 'cgk_jobs.configuration'::regclass AND l.granted
    AND l.database = (SELECT d.oid FROM pg_catalog.pg_database d WHERE d.datname = current_database())
    AND a.usename = current_user AND l.pid <> pg_backend_pid() AND ($1::text[] IS NULL OR l.virtualtransaction = ANY ($1::text[]))
