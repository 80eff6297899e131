INSERT INTO wakeups (tenant_id, run_seq, run_nonce, task, queue, lane, due_at, id, provider, issued_at) VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?, ?)
