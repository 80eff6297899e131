SELECT id FROM wakeups WHERE tenant_id = ? AND run_seq = ? AND obsolete = 0
