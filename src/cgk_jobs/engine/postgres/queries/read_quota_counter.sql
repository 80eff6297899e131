SELECT tenant_id, runs, payload_bytes, window_at, sends, sends_before, warned, refused_ticks, recount_at FROM cgk_jobs.quota_counters WHERE tenant_id = $1
