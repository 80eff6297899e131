-- One that somebody else holds is about to ring, or to be passed on.
UPDATE cgk_jobs.wakeups w SET obsolete = true FROM (
    SELECT u.tenant_id, u.id FROM cgk_jobs.wakeups u JOIN unnest($1::text[], $2::text[]) AS g (tenant_id, id)
        ON u.tenant_id = g.tenant_id AND u.id = g.id
    FOR UPDATE OF u SKIP LOCKED
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
