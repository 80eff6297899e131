SELECT state, count(*) FROM runs WHERE :tenant IS NULL OR tenant_id = :tenant GROUP BY state
