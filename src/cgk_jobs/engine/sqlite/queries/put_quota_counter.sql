INSERT OR REPLACE INTO quota_counters (tenant_id, runs, payload_bytes, window_at, sends, sends_before, warned, refused_ticks, recount_at)
VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)
