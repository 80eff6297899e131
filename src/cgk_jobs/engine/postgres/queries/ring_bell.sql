-- A hint, which nobody has to wait on disk for: with asynchronous commit the cluster's lock on notifications is held for
-- microseconds.
SELECT pg_catalog.set_config('synchronous_commit', 'off', true), pg_catalog.pg_notify('cgk_jobs', '')
