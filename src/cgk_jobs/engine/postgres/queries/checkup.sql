-- What cgk jobs doctor asks of the server; transactions of other logins are seen by their age only where the role may.
SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint AS now_micros,
    (SELECT max(extract(epoch FROM clock_timestamp() - a.xact_start))::double precision FROM pg_stat_activity a
        WHERE a.xact_start IS NOT NULL AND a.pid <> pg_backend_pid() AND a.datname = current_database()) AS oldest,
    coalesce((SELECT s.n_dead_tup FROM pg_stat_user_tables s WHERE s.schemaname = 'cgk_jobs' AND s.relname = 'runs'), 0) AS dead,
    coalesce((SELECT s.n_live_tup FROM pg_stat_user_tables s WHERE s.schemaname = 'cgk_jobs' AND s.relname = 'runs'), 0) AS live
