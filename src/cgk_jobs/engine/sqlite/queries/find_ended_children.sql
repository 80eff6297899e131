-- Of these runs those that ended badly; simple: with no key that others may have too, nothing undone and nothing failed in its own journal.
SELECT r.seq, r.queue, r.lane, r.flow_key IS NULL AND r.order_key IS NULL AND r.failing IS NULL
    AND NOT EXISTS (SELECT 1 FROM steps s WHERE s.run_seq = r.seq AND s.failed = 1) AS simple
FROM json_each(?) AS w CROSS JOIN runs r ON r.seq = w.value
WHERE r.tenant_id = ? AND r.state IN ('failed', 'cancelled', 'expired') ORDER BY r.seq
