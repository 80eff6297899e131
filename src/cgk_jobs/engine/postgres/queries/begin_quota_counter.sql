INSERT INTO cgk_jobs.quota_counters (tenant_id) VALUES ($1) ON CONFLICT DO NOTHING
