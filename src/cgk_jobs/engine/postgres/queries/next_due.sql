SELECT coalesce($1::bigint, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint) AS now,
    least((SELECT min(due_at) FROM cgk_jobs.runs WHERE due_at IS NOT NULL AND NOT arriving),
          (SELECT min(wake_at) FROM cgk_jobs.limits WHERE wake_at IS NOT NULL)) AS due,
    EXISTS (SELECT FROM cgk_jobs.unrouted_events WHERE arriving) AS arriving,
    EXISTS (SELECT FROM cgk_jobs.runs WHERE arriving) AS undecided
