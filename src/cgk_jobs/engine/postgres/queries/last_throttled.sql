-- The last event let through, and when the one was that many ($3) places back.
SELECT l.place AS last, (SELECT t.at FROM cgk_jobs.throttles t WHERE t.tenant_id = $1 AND t.key = $2 AND t.place = l.place - $3::bigint + 1) AS first
FROM (SELECT coalesce(max(place), 0) AS place FROM cgk_jobs.throttles WHERE tenant_id = $1 AND key = $2) AS l
