-- With its clocks, which some process may have shared again since they were purged.
WITH forgotten AS (
    DELETE FROM cgk_jobs.tenant_clocks WHERE tenant_id = $1
)
DELETE FROM cgk_jobs.tenants WHERE id = $1
