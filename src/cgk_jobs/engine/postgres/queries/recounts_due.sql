SELECT tenant_id FROM cgk_jobs.quota_counters WHERE recount_at <= coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) ORDER BY tenant_id
