UPDATE cgk_jobs.quota_counters c
SET runs = s.runs, payload_bytes = s.payload_bytes, window_at = s.window_at, sends = s.sends, sends_before = s.sends_before,
    warned = s.warned, refused_ticks = s.refused_ticks, recount_at = s.recount_at
FROM unnest($1::text[], $2::bigint[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bigint[], $7::integer[], $8::bigint[], $9::bigint[])
    AS s (tenant_id, runs, payload_bytes, window_at, sends, sends_before, warned, refused_ticks, recount_at)
WHERE c.tenant_id = s.tenant_id
