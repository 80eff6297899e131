-- As insert_lone, where the tenant's clock must be asked too: other processes may have given places since it was read.
INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, vstart, expires_at, created_at, event_version, tenant_id, task, queue, state, event_name,
    payload, tags)
SELECT d.base + 1, $3, d.base,
    greatest($4, (SELECT value + $13 FROM cgk_jobs.queue_clocks WHERE queue = $7),
        (SELECT t.value + $13 FROM cgk_jobs.tenant_clocks t WHERE t.tenant_id = $5 AND t.queue = $7)),
    d.now + $11, d.now, $9, $5, $6, $7, 'queued', $8, $10, $12
FROM (
    SELECT (coalesce($2::bigint / 1000 + (n >> 15), (date_part('epoch', at) * 1000)::bigint) << 15) | (n & 32767) AS base,
        coalesce($2::bigint, (extract(epoch FROM at) * 1000000)::bigint) AS now
    FROM (
        SELECT nextval('cgk_jobs.numbers') * 8 AS n, clock_timestamp() AS at FROM cgk_jobs.configuration WHERE version = $1
    ) AS drawn
) AS d
RETURNING event_seq
