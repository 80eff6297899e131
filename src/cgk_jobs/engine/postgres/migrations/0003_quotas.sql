-- Quotas: what a tenant may store. Only tenants that have one are in these tables, so nobody else is counted or locked.

CREATE TABLE cgk_jobs.tenant_quotas (
    queued_soft bigint, queued_hard bigint, bytes_soft bigint, bytes_hard bigint, sends_soft bigint, sends_hard bigint,
    sends_seconds double precision,
    closed boolean NOT NULL DEFAULT false,              -- the tenant is being purged: nothing is taken from it
    tenant_id text COLLATE "C" PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
);

-- What it has used: counted under the lock of its row, in the transactions that send and settle.
CREATE TABLE cgk_jobs.quota_counters (
    runs bigint NOT NULL DEFAULT 0, payload_bytes bigint NOT NULL DEFAULT 0, window_at bigint NOT NULL DEFAULT 0,
    sends bigint NOT NULL DEFAULT 0, sends_before bigint NOT NULL DEFAULT 0, warned integer NOT NULL DEFAULT 0,
    refused_ticks bigint NOT NULL DEFAULT 0, recount_at bigint NOT NULL DEFAULT 0,
    tenant_id text COLLATE "C" PRIMARY KEY CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$')
) WITH (fillfactor = 50);

ALTER TABLE cgk_jobs.tenant_quotas ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.quota_counters ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.tenant_quotas ALTER tenant_id SET STATISTICS 0;
ALTER TABLE cgk_jobs.quota_counters ALTER tenant_id SET STATISTICS 0;
-- Names a tenant's work is known by, too: samples would outlive a tenant that is purged.
ALTER TABLE cgk_jobs.tenants ALTER id SET STATISTICS 0;
ALTER TABLE cgk_jobs.steps ALTER name SET STATISTICS 0;
ALTER TABLE cgk_jobs.unrouted_events ALTER name SET STATISTICS 0;
CREATE POLICY worker_all ON cgk_jobs.tenant_quotas TO cgk_jobs_worker USING (true) WITH CHECK (true);
CREATE POLICY worker_all ON cgk_jobs.quota_counters TO cgk_jobs_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cgk_jobs.tenant_quotas, cgk_jobs.quota_counters TO cgk_jobs_worker;
