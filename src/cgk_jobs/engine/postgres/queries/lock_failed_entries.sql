-- What failed for good in the journals of runs, by place. All of each journal is locked: the end of a child waits here, and finds
-- its parent unfinished again.
WITH locked AS MATERIALIZED (
    SELECT e.tenant_id, e.run_seq, e.name, e.result, e.place, e.failed
    FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
    JOIN cgk_jobs.steps e ON e.tenant_id = s.tenant_id AND e.run_seq = s.seq
    ORDER BY e.tenant_id, e.run_seq, e.name FOR UPDATE OF e
)
SELECT tenant_id, run_seq, name, result, place FROM locked WHERE failed ORDER BY tenant_id, run_seq, place
