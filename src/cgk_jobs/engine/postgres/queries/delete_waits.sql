DELETE FROM cgk_jobs.event_waits w USING unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
WHERE w.tenant_id = s.tenant_id AND w.run_seq = s.seq
