-- What is finished, up to an entry.
INSERT INTO cgk_jobs.steps (run_seq, place, finished_at, tenant_id, name, result, ordered, undoable, failed, pending)
SELECT $2, s.place, s.finished_at, s.tenant_id, s.name, s.result, s.ordered, s.undoable, s.failed, 0
FROM cgk_jobs.steps s
JOIN cgk_jobs.steps f ON f.tenant_id = s.tenant_id AND f.run_seq = s.run_seq AND f.name = $4
WHERE s.tenant_id = $1 AND s.run_seq = $3 AND s.pending = 0
    AND (s.place, s.finished_at, s.name COLLATE "C") < (f.place, f.finished_at, f.name COLLATE "C")
