-- An entry of an attempt that lost its run is not written, and one that is finished is not written again. FOR SHARE waits for a
-- rescue that is under way, where FOR KEY SHARE would pass it by. Entries written at the same moment may get the same place; they
-- are told apart by when they finished.
INSERT INTO cgk_jobs.steps (run_seq, place, finished_at, tenant_id, name, result, ordered, undoable, failed, pending)
SELECT r.seq, coalesce($7::integer, (SELECT count(*) FROM cgk_jobs.steps s WHERE s.tenant_id = $1 AND s.run_seq = $2)),
    coalesce($6::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), r.tenant_id, $4::text, $5::text,
    $8::boolean, $9::boolean, $10::boolean, $11::integer
FROM cgk_jobs.runs r
WHERE r.tenant_id = $1 AND r.seq = $2 AND r.claim = $3 AND r.state = 'running' FOR SHARE OF r
ON CONFLICT (tenant_id, run_seq, name) DO UPDATE SET result = excluded.result, finished_at = excluded.finished_at,
    undoable = excluded.undoable, failed = excluded.failed, pending = excluded.pending
WHERE steps.pending > 0
