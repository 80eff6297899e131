DELETE FROM wakeups WHERE id IN (SELECT value FROM json_each(?))
