-- Oldest code: schema 5. Wake-ups at providers that call the application when a run is due. Empty where workers claim by themselves.

CREATE TABLE cgk_jobs.wakeups (
    run_seq bigint NOT NULL, run_nonce bigint NOT NULL,
    due_at bigint NOT NULL,
    issued_at bigint NOT NULL,                          -- when it was last handed out
    rings_at bigint,                                    -- from when on it is expected to ring; NULL until the provider has acknowledged it
    lane integer NOT NULL,
    obsolete boolean NOT NULL DEFAULT false,            -- replaced, or its run needs none: to be taken back
    tenant_id text COLLATE "C" NOT NULL CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    id text COLLATE "C" NOT NULL,
    task text NOT NULL,
    queue text NOT NULL,                                -- from which it permits to claim one run
    provider text NOT NULL,
    reference text NOT NULL DEFAULT '',                 -- the provider's name for it
    refused text,                                       -- why the provider will never take it
    PRIMARY KEY (tenant_id, id)
) WITH (fillfactor = 70, autovacuum_vacuum_scale_factor = 0.05, autovacuum_vacuum_threshold = 1000, autovacuum_vacuum_cost_delay = 0);
-- A run has one at most, whoever hands them out.
CREATE UNIQUE INDEX wakeups_of_run ON cgk_jobs.wakeups (tenant_id, run_seq) WHERE NOT obsolete;
CREATE INDEX wakeups_by_id ON cgk_jobs.wakeups (id);
CREATE INDEX wakeups_handed ON cgk_jobs.wakeups (provider, queue, due_at) WHERE NOT obsolete;
CREATE INDEX wakeups_unacknowledged ON cgk_jobs.wakeups (issued_at) WHERE rings_at IS NULL;
CREATE INDEX wakeups_obsolete ON cgk_jobs.wakeups (provider, id) WHERE obsolete;

-- Who is handed new wake-ups, and whose old ones may still ring.
CREATE TABLE cgk_jobs.active_provider (
    version bigint NOT NULL, only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row), name text NOT NULL, draining text[] NOT NULL
);

-- Signed calls that were accepted, so that none is accepted twice. They belong to the installation: no tenant's data is in them.
CREATE TABLE cgk_jobs.seen_calls (until bigint NOT NULL, key text COLLATE "C" PRIMARY KEY);
CREATE INDEX seen_calls_by_age ON cgk_jobs.seen_calls (until);

ALTER TABLE cgk_jobs.wakeups ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.active_provider ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON cgk_jobs.wakeups TO cgk_jobs_worker USING (true) WITH CHECK (true);
ALTER TABLE cgk_jobs.seen_calls ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON cgk_jobs.active_provider TO cgk_jobs_worker USING (true) WITH CHECK (true);
CREATE POLICY worker_all ON cgk_jobs.seen_calls TO cgk_jobs_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cgk_jobs.wakeups, cgk_jobs.active_provider, cgk_jobs.seen_calls TO cgk_jobs_worker;
-- No samples of tenants' names: see 0002.
ALTER TABLE cgk_jobs.wakeups ALTER tenant_id SET STATISTICS 0;
ALTER TABLE cgk_jobs.seen_calls ALTER key SET STATISTICS 0;
