UPDATE cgk_jobs.wakeups w SET reference = s.reference, refused = s.refused,
    rings_at = greatest(w.due_at, coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint))
FROM (
    SELECT u.tenant_id, u.id, a.reference, a.refused
    FROM unnest($3::text[], $4::text[], $5::text[]) AS a (id, reference, refused) JOIN cgk_jobs.wakeups u ON u.id = a.id
    WHERE u.provider = $2 ORDER BY u.tenant_id, u.id FOR UPDATE OF u
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
