SELECT name, result, place, ordered, undoable, failed, pending FROM cgk_jobs.steps WHERE tenant_id = $1 AND run_seq = $2
ORDER BY place, finished_at, name COLLATE "C"
