INSERT INTO steps (run_seq, name, tenant_id, place, result, finished_at, ordered, undoable, failed, pending)
SELECT :to, name, tenant_id, place, result, finished_at, ordered, undoable, failed, 0 FROM steps
WHERE run_seq = :from AND tenant_id = :tenant AND pending = 0
    AND place < (SELECT place FROM steps WHERE run_seq = :from AND name = :step)
