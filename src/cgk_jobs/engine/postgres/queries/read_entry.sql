SELECT name, result, place, ordered, undoable, failed, pending FROM cgk_jobs.steps WHERE tenant_id = $1 AND run_seq = $2 AND name = $3
