-- Entries that wait for one outcome each, from a place on. The caller holds the run's row.
INSERT INTO cgk_jobs.steps (run_seq, place, finished_at, tenant_id, name, result, pending)
SELECT $2, $3::integer + s.number - 1, coalesce($4::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), $1, s.name, NULL, 1
FROM unnest($5::text[]) WITH ORDINALITY AS s (name, number)
ON CONFLICT (tenant_id, run_seq, name) DO UPDATE SET place = excluded.place, finished_at = excluded.finished_at, result = NULL,
    ordered = false, undoable = false, failed = false, pending = 1
