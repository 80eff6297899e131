SELECT start, sum(events) FROM (
    SELECT created_at / :every * :every AS start, count(DISTINCT event_seq) AS events FROM runs
    WHERE tenant_id = :tenant AND seq >= :first AND created_at >= :since GROUP BY 1
    UNION ALL
    SELECT created_at / :every * :every, count(*) FROM unrouted_events
    WHERE tenant_id = :tenant AND seq >= :first AND created_at >= :since GROUP BY 1
) GROUP BY start
