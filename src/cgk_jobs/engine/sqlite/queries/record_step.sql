-- A step of an attempt that lost its run is not written, and one that is finished is not written again.
INSERT INTO steps (run_seq, name, tenant_id, place, result, finished_at, ordered, undoable, failed, pending)
SELECT :seq, :name, tenant_id, coalesce(:place, (SELECT count(*) FROM steps WHERE run_seq = :seq)), :result, :now, :ordered, :undoable,
    :failed, :pending
FROM runs WHERE seq = :seq AND claim = :token AND state = 'running'
ON CONFLICT (run_seq, name) DO UPDATE SET result = excluded.result, finished_at = excluded.finished_at, undoable = excluded.undoable,
    failed = excluded.failed, pending = excluded.pending
WHERE steps.pending > 0
