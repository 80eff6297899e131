-- How many of each queue are at a provider: due, and due later.
SELECT queue, count(*) FILTER (WHERE due_at <= $2) AS due, count(*) FILTER (WHERE due_at > $2) AS later
FROM cgk_jobs.wakeups WHERE provider = $1 AND NOT obsolete AND refused IS NULL GROUP BY queue
