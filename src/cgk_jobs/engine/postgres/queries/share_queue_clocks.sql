-- What this process has reached, and what all had: a clock never goes back. Nobody waits on disk for it: after a crash of the
-- server the processes' memories say it again.
WITH shared AS (
    INSERT INTO cgk_jobs.queue_clocks AS c (queue, value)
    SELECT * FROM unnest($1::text[], $2::double precision[]) AS s (queue, value) ORDER BY queue
    ON CONFLICT (queue) DO UPDATE SET value = excluded.value WHERE excluded.value > c.value
)
SELECT queue, value, set_config('synchronous_commit', 'off', true) FROM cgk_jobs.queue_clocks WHERE queue = ANY ($1)
