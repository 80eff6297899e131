-- Those of these runs that have steps, attempts, lines, waits or tags. One that is being started again leaves its day, and keeps them.
SELECT f.tenant_id, f.seq
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.finished_runs f ON f.tenant_id = s.tenant_id AND f.seq = s.seq AND f.finished_at >= $3 AND f.finished_at < $4
WHERE EXISTS (SELECT FROM cgk_jobs.steps c WHERE c.tenant_id = f.tenant_id AND c.run_seq = f.seq)
   OR EXISTS (SELECT FROM cgk_jobs.attempts c WHERE c.tenant_id = f.tenant_id AND c.run_seq = f.seq)
   OR EXISTS (SELECT FROM cgk_jobs.run_logs c WHERE c.tenant_id = f.tenant_id AND c.run_seq = f.seq)
   OR EXISTS (SELECT FROM cgk_jobs.event_waits c WHERE c.tenant_id = f.tenant_id AND c.run_seq = f.seq)
   OR EXISTS (SELECT FROM cgk_jobs.run_tags c WHERE c.tenant_id = f.tenant_id AND c.run_seq = f.seq)
FOR UPDATE OF f SKIP LOCKED
