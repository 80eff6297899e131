SELECT start, sum(events)::bigint FROM (
    SELECT created_at / $3::bigint * $3::bigint AS start, count(DISTINCT event_seq) AS events
    FROM (
        SELECT created_at, event_seq FROM cgk_jobs.runs WHERE tenant_id = $1 AND seq >= $4 AND created_at >= $2
        UNION ALL
        SELECT created_at, event_seq FROM cgk_jobs.finished_runs WHERE tenant_id = $1 AND seq >= $4 AND created_at >= $2 AND finished_at >= $2
    ) AS sent GROUP BY 1
    UNION ALL
    SELECT created_at / $3::bigint * $3::bigint, count(*) FROM cgk_jobs.unrouted_events
    WHERE tenant_id = $1 AND seq >= $4 AND created_at >= $2 GROUP BY 1
) AS events GROUP BY start
