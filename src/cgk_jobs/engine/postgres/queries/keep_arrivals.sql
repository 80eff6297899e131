-- The events of these runs, for those that wait for them: a run may keep another event's payload. Told of by arrivals.py.
INSERT INTO cgk_jobs.unrouted_events (seq, nonce, created_at, version, tenant_id, name, payload, arriving)
SELECT DISTINCT ON (r.tenant_id, r.event_seq)
    r.event_seq, r.nonce, r.created_at, r.event_version, r.tenant_id, r.event_name, r.payload, true
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq
WHERE NOT r.direct AND EXISTS (SELECT FROM cgk_jobs.awaited_events w WHERE w.event = r.event_name)
ON CONFLICT DO NOTHING
