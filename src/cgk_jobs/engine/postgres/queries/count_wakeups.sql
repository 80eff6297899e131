SELECT provider,
    count(*) FILTER (WHERE NOT obsolete AND rings_at IS NOT NULL AND refused IS NULL) AS handed,
    count(*) FILTER (WHERE NOT obsolete AND rings_at IS NULL) AS unacknowledged,
    count(*) FILTER (WHERE NOT obsolete AND refused IS NOT NULL) AS refused,
    count(*) FILTER (WHERE NOT obsolete AND refused IS NULL
        AND rings_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint)) AS overdue,
    count(*) FILTER (WHERE obsolete) AS obsolete
FROM cgk_jobs.wakeups GROUP BY provider ORDER BY provider
