-- Of these budgets (JSON pairs of key and moment) those in which nobody runs or waits, and nobody has started since the moment.
DELETE FROM limits WHERE key IN (
    SELECT l.key FROM json_each(?) AS w CROSS JOIN limits l ON l.key = w.value ->> 0
    WHERE l.used = 0 AND l.parked = 0 AND l.wake_at IS NULL
        AND NOT EXISTS (SELECT 1 FROM rate_starts s WHERE s.key = l.key AND s.at > (w.value ->> 1))
        AND NOT EXISTS (SELECT 1 FROM runs r WHERE r.held_by = l.key))
RETURNING key
