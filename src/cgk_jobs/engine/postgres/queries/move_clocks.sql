-- Another share: what waits beyond the queue's now comes closer together, or further apart, and so does what is sent next.
UPDATE cgk_jobs.tenant_clocks c SET value = q.value + (c.value - q.value) * $2::double precision
FROM cgk_jobs.queue_clocks q WHERE q.queue = c.queue AND c.tenant_id = $1 AND c.value > q.value
