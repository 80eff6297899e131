-- Whoever still has this claim's token in the history was not stale.
SELECT f.seq FROM unnest($1::text[], $2::bigint[], $3::bigint[]) AS s (tenant_id, seq, claim)
JOIN cgk_jobs.finished_runs f ON f.tenant_id = s.tenant_id AND f.seq = s.seq AND f.claim = s.claim
