-- Of these runs those that ended badly: nobody else starts them again, or forgets them, from now on.
SELECT f.tenant_id, f.seq, f.queue, f.lane, f.failing, f.flow_key, f.order_key
FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
JOIN cgk_jobs.finished_runs f ON f.tenant_id = s.tenant_id AND f.seq = s.seq
WHERE f.state IN ('failed', 'cancelled', 'expired')
ORDER BY f.tenant_id, f.seq DESC FOR UPDATE OF f
