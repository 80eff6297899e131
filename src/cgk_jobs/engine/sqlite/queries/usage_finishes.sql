SELECT finished_at / :every * :every, state, count(*) FROM runs WHERE tenant_id = :tenant AND finished_at >= :since GROUP BY 1, 2
