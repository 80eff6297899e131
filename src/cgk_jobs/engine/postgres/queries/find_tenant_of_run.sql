-- For operators: no index is on the number alone, so each tenant is asked.
SELECT t.id FROM (SELECT id FROM cgk_jobs.tenants UNION SELECT 'platform') t
WHERE EXISTS (SELECT FROM cgk_jobs.runs r WHERE r.tenant_id = t.id AND r.seq = $1 AND r.nonce = $2)
   OR EXISTS (SELECT FROM cgk_jobs.finished_runs f WHERE f.tenant_id = t.id AND f.seq = $1 AND f.nonce = $2)
LIMIT 1
