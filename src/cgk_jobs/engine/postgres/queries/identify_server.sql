-- Which database this is: no other of the server has its number, and no other server, copies included, was started at that moment.
SELECT d.oid::bigint AS database, (extract(epoch FROM pg_catalog.pg_postmaster_start_time()) * 1000000)::bigint AS started
FROM pg_catalog.pg_database d WHERE d.datname = pg_catalog.current_database()
