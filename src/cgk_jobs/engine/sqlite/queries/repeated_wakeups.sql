SELECT w.id, w.tenant_id, w.run_seq, w.run_nonce, w.task, w.queue, w.lane, w.due_at, w.reference,
    CASE WHEN w.task IN (SELECT value FROM json_each(:tasks)) THEN r.payload END
FROM wakeups w INDEXED BY wakeups_unacknowledged JOIN runs r ON r.seq = w.run_seq AND r.tenant_id = w.tenant_id
WHERE w.rings_at IS NULL AND w.obsolete = 0 AND w.issued_at <= :before AND w.provider = :provider ORDER BY w.issued_at LIMIT :count
