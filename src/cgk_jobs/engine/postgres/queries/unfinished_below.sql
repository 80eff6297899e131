-- The runs these have called, those they have called, and so on, that have not ended; one that has may have called some.
WITH RECURSIVE called AS (
    SELECT tenant_id COLLATE "C" AS tenant_id, seq FROM unnest($1::text[], $2::bigint[]) AS s (tenant_id, seq)
    UNION
    SELECT n.tenant_id, n.seq FROM called c CROSS JOIN LATERAL (
        SELECT r.tenant_id, r.seq FROM cgk_jobs.runs r WHERE r.tenant_id = c.tenant_id AND r.parent_seq = c.seq
        UNION ALL
        SELECT f.tenant_id, f.seq FROM cgk_jobs.finished_runs f WHERE f.tenant_id = c.tenant_id AND f.parent_seq = c.seq
    ) AS n
)
SELECT c.tenant_id, c.seq FROM called c JOIN cgk_jobs.runs r ON r.tenant_id = c.tenant_id AND r.seq = c.seq
