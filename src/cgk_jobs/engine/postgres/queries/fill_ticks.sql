UPDATE cgk_jobs.ticks t SET event_seq = s.event_seq, run_seq = s.run_seq, nonce = s.nonce
FROM unnest($1::text[], $2::text[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[])
    AS s (tenant_id, task, tick_at, event_seq, run_seq, nonce)
WHERE t.tenant_id = s.tenant_id AND t.task = s.task AND t.tick_at = s.tick_at
