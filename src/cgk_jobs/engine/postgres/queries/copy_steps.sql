INSERT INTO cgk_jobs.steps (run_seq, place, finished_at, tenant_id, name, result)
SELECT $2, s.place, s.finished_at, s.tenant_id, s.name, s.result
FROM cgk_jobs.steps s
JOIN cgk_jobs.steps f ON f.tenant_id = s.tenant_id AND f.run_seq = s.run_seq AND f.name = $4
WHERE s.tenant_id = $1 AND s.run_seq = $3 AND (s.place, s.finished_at, s.name COLLATE "C") < (f.place, f.finished_at, f.name COLLATE "C")
