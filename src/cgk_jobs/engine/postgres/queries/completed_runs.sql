-- Of these runs those that have completed, and who waits for them.
SELECT f.tenant_id, f.seq, f.nonce, f.parent_seq, f.parent_step, f.state, f.result
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.finished_runs f ON f.tenant_id = s.tenant_id AND f.seq = s.seq
WHERE f.state = 'completed'
