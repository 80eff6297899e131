-- The runs a run has called, those they have called, and so on, that have not ended.
WITH RECURSIVE below (seq) AS (
    SELECT seq FROM runs WHERE parent_seq = :seq AND tenant_id = :tenant
    UNION ALL
    SELECT runs.seq FROM below JOIN runs ON runs.parent_seq = below.seq AND runs.tenant_id = :tenant
)
SELECT runs.tenant_id, runs.seq FROM below JOIN runs ON runs.seq = below.seq WHERE runs.finished_at IS NULL
