-- The runs of attempts that end, and those that called them: what may have happened to them meanwhile.
SELECT r.tenant_id, r.seq, r.claim, r.state, r.woken, r.cancel_asked
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.runs r ON r.tenant_id = s.tenant_id AND r.seq = s.seq
ORDER BY r.tenant_id, r.seq DESC FOR UPDATE OF r
