INSERT INTO steps (run_seq, name, tenant_id, place, result, finished_at)
SELECT :to, name, tenant_id, place, result, finished_at FROM steps WHERE run_seq = :from AND tenant_id = :tenant
    AND place < (SELECT place FROM steps WHERE run_seq = :from AND name = :step)
