SELECT w.tenant_id, w.event, w.fields, w.wanted, w.run_seq, w.step
FROM unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s (tenant_id, event, fields, wanted)
JOIN cgk_jobs.event_waits w ON w.tenant_id = s.tenant_id AND w.event = s.event AND w.fields = s.fields AND w.wanted = s.wanted
