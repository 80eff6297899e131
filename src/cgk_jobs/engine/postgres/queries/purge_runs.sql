DELETE FROM cgk_jobs.runs r
USING (SELECT tenant_id, seq FROM cgk_jobs.runs WHERE tenant_id = $1 ORDER BY seq DESC LIMIT $2 FOR UPDATE) AS s
WHERE r.tenant_id = s.tenant_id AND r.seq = s.seq
RETURNING r.tenant_id, r.slots
