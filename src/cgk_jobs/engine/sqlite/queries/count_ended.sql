-- Of runs that ended, those of tenants with quotas.
SELECT tenant_id, count(*), sum(length(CAST(payload AS BLOB))) FROM runs
WHERE seq IN (SELECT value FROM json_each(?)) AND tenant_id IN (SELECT tenant_id FROM tenant_quotas) GROUP BY tenant_id
