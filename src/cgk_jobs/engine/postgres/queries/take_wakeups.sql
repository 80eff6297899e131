DELETE FROM cgk_jobs.wakeups w USING (
    SELECT tenant_id, id FROM cgk_jobs.wakeups WHERE id = ANY ($1::text[]) ORDER BY tenant_id, id FOR UPDATE
) s WHERE w.tenant_id = s.tenant_id AND w.id = s.id
RETURNING w.id, w.tenant_id, w.run_seq, w.run_nonce, w.task, w.queue, w.lane, w.due_at, w.reference
