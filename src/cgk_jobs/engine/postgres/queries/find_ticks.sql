SELECT t.tenant_id, t.task, t.tick_at, t.event_seq, t.run_seq, t.nonce
FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s (tenant_id, task, tick_at)
JOIN cgk_jobs.ticks t ON t.tenant_id = s.tenant_id AND t.task = s.task AND t.tick_at = s.tick_at
