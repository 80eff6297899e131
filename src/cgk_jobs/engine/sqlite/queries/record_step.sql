-- A step of an attempt that lost its run is not written.
INSERT INTO steps (run_seq, name, tenant_id, place, result, finished_at)
SELECT :seq, :name, tenant_id, (SELECT count(*) FROM steps WHERE run_seq = :seq), :result, :now
FROM runs WHERE seq = :seq AND claim = :token AND state = 'running'
