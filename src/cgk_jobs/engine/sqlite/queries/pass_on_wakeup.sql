-- The wake-up of a claimed run is for the one that is left, unless that has its own.
UPDATE wakeups SET tenant_id = :left_tenant, run_seq = :left_seq, run_nonce = :nonce, task = :task, lane = :lane, obsolete = EXISTS (
    SELECT 1 FROM wakeups WHERE tenant_id = :left_tenant AND run_seq = :left_seq AND obsolete = 0)
WHERE tenant_id = :tenant AND run_seq = :seq AND obsolete = 0
