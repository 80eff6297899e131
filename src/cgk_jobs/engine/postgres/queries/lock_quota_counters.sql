-- In the order of the tenants, so that no two transactions wait in a circle.
SELECT c.tenant_id, c.runs, c.payload_bytes, c.window_at, c.sends, c.sends_before, c.warned, c.refused_ticks, c.recount_at,
    coalesce($2::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now
FROM unnest($1::text[]) AS s (tenant_id) JOIN cgk_jobs.quota_counters c ON c.tenant_id = s.tenant_id
ORDER BY c.tenant_id FOR UPDATE OF c
