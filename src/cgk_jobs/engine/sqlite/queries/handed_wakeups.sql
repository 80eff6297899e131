-- How many of each queue are at a provider: due, and due later.
SELECT queue, sum(due_at <= :now), sum(due_at > :now) FROM wakeups INDEXED BY wakeups_handed
WHERE provider = :provider AND obsolete = 0 AND refused IS NULL GROUP BY queue
