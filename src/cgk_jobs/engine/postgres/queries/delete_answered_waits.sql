DELETE FROM cgk_jobs.event_waits w
USING unnest($1::text[], $2::text[], $3::text[], $4::text[]) AS s (tenant_id, event, fields, wanted)
WHERE w.tenant_id = s.tenant_id AND w.event = s.event AND w.fields = s.fields AND w.wanted = s.wanted
