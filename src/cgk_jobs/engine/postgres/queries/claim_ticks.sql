INSERT INTO cgk_jobs.ticks (tick_at, event_seq, run_seq, nonce, tenant_id, task)
SELECT tick_at, 0, 0, 0, tenant_id, task FROM unnest($1::text[], $2::text[], $3::bigint[]) AS s (tenant_id, task, tick_at)
ORDER BY tenant_id, task, tick_at
ON CONFLICT DO NOTHING
RETURNING tenant_id, task, tick_at
