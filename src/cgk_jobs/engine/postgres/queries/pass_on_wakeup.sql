-- The wake-up of a claimed run ($1, $2) is for the one that is left, unless that has its own. One that somebody else holds stays:
-- the run that is left gets another.
UPDATE cgk_jobs.wakeups w SET tenant_id = $3, run_seq = $4, run_nonce = $5, task = $6, lane = $7, obsolete = EXISTS (
    SELECT FROM cgk_jobs.wakeups o WHERE o.tenant_id = $3 AND o.run_seq = $4 AND NOT o.obsolete)
FROM (
    SELECT tenant_id, id FROM cgk_jobs.wakeups WHERE tenant_id = $1 AND run_seq = $2 AND NOT obsolete FOR UPDATE SKIP LOCKED
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
