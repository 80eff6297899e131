-- The first of each line nobody is ahead in.
SELECT n.tenant_id, n.seq, n.queue, n.lane
FROM unnest($1::text[], $2::text[]) AS l (tenant_id, order_key)
CROSS JOIN LATERAL (
    SELECT r.tenant_id, r.seq, r.queue, r.lane FROM cgk_jobs.runs r
    WHERE r.tenant_id = l.tenant_id AND r.order_key = l.order_key AND r.held_by = 'order'
    ORDER BY r.seq LIMIT 1 FOR UPDATE
) AS n
WHERE NOT EXISTS (
    SELECT FROM cgk_jobs.runs a
    WHERE a.tenant_id = l.tenant_id AND a.order_key = l.order_key AND a.held_by IS DISTINCT FROM 'order'
)
