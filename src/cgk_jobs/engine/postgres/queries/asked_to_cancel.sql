-- Which of these attempts somebody asked to end. Locked, so that nobody asks between this and what is written next.
SELECT r.tenant_id, r.seq, r.cancel_asked FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS s (tenant_id, seq, claim)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq AND r.claim = s.claim AND r.state = 'running'
ORDER BY r.tenant_id, r.seq FOR UPDATE OF r
