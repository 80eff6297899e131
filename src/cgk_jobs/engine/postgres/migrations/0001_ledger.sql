-- The ledger. Every row of a tenant has the tenant first in its key ('platform' is the installation itself); moments are
-- microseconds since 1970 UTC, as the database's clock says. Roles, policies and grants follow in 0002.

-- `cgk jobs schema apply` has made the schema, owned by the owner role, which may make no others.
DO $$ BEGIN IF to_regnamespace('cgk_jobs') IS NULL THEN CREATE SCHEMA cgk_jobs; END IF; END $$;

-- The counter within a millisecond of the numbers that order events and runs.
CREATE SEQUENCE cgk_jobs.numbers MINVALUE 0 START 0;

-- Runs that have not ended: small, hot, vacuumed often.
CREATE TABLE cgk_jobs.runs (
    seq           bigint NOT NULL,              -- 48 bits of milliseconds, 15 bits of counter: ordered by time
    nonce         bigint NOT NULL,              -- the random part of the UUIDv7
    event_seq     bigint NOT NULL,
    vstart        double precision NOT NULL DEFAULT 0,  -- virtual start time: the fair order
    claim         bigint NOT NULL DEFAULT 0,    -- the fence: rises at every claim
    due_at        bigint,
    expires_at    bigint,
    tick_at       bigint,                       -- the tick of the schedule that made it
    replay_of     bigint,
    moved_for     bigint NOT NULL DEFAULT 0,    -- the youngest jump its place has been moved back for
    created_at    bigint NOT NULL,
    started_at    bigint,
    worker        integer,
    event_version integer NOT NULL,
    attempt       integer NOT NULL DEFAULT 1,
    rank          integer NOT NULL DEFAULT 0,   -- below 0: before other tenants' runs, where a task asks for it
    lane          integer NOT NULL DEFAULT 0,   -- priority within the tenant, higher first
    cancel_asked  boolean NOT NULL DEFAULT false,
    tenant_id     text COLLATE "C" NOT NULL CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'),
    task          text NOT NULL,
    queue         text NOT NULL,
    state         text NOT NULL CHECK (state IN ('scheduled', 'queued', 'running', 'retrying', 'waiting')),
    event_name    text NOT NULL,
    payload       text NOT NULL,
    tags          text NOT NULL DEFAULT '',
    held_by       text COLLATE "C",             -- why a queued run is parked: a limit, a pause, an unknown task
    slots         text,                         -- the concurrency limits it counts for, while it does
    error         text,
    progress      text,
    PRIMARY KEY (tenant_id, seq)
) WITH (fillfactor = 60, autovacuum_vacuum_scale_factor = 0.02, autovacuum_vacuum_threshold = 1000,
        autovacuum_vacuum_cost_delay = 0, autovacuum_analyze_scale_factor = 0.2);
-- A claim is one range scan of this index, in the order it is stored, however many tenants wait.
CREATE INDEX runs_ready ON cgk_jobs.runs (queue, rank, vstart) WHERE state = 'queued' AND held_by IS NULL;
CREATE INDEX runs_due ON cgk_jobs.runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_expiring ON cgk_jobs.runs (expires_at) WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying');
CREATE INDEX runs_held ON cgk_jobs.runs (held_by, rank, vstart) WHERE held_by IS NOT NULL;
CREATE INDEX runs_busy ON cgk_jobs.runs (worker) WHERE worker IS NOT NULL;

-- Runs that have ended, by the day they did: a day is dropped whole. Upkeep makes the days ahead; what finds none lands in
-- the default partition and is deleted row by row.
CREATE TABLE cgk_jobs.finished_runs (
    seq           bigint NOT NULL,
    nonce         bigint NOT NULL,
    event_seq     bigint NOT NULL,
    claim         bigint NOT NULL,
    expires_at    bigint,
    tick_at       bigint,
    replay_of     bigint,
    created_at    bigint NOT NULL,
    started_at    bigint,
    finished_at   bigint NOT NULL,
    event_version integer NOT NULL,
    attempt       integer NOT NULL,
    rank          integer NOT NULL,
    lane          integer NOT NULL,
    tenant_id     text COLLATE "C" NOT NULL,
    task          text NOT NULL,
    queue         text NOT NULL,
    state         text NOT NULL CHECK (state IN ('completed', 'failed', 'cancelled', 'expired')),
    event_name    text NOT NULL,
    payload       text NOT NULL,
    tags          text NOT NULL,
    result        text,
    error         text,
    progress      text,
    PRIMARY KEY (tenant_id, seq, finished_at)
) PARTITION BY RANGE (finished_at);
CREATE TABLE cgk_jobs.finished_runs_other PARTITION OF cgk_jobs.finished_runs DEFAULT;

CREATE TABLE cgk_jobs.run_tags (
    run_seq bigint NOT NULL, tenant_id text COLLATE "C" NOT NULL, tag text NOT NULL, PRIMARY KEY (tenant_id, tag, run_seq)
);
CREATE INDEX run_tags_by_run ON cgk_jobs.run_tags (tenant_id, run_seq);

CREATE TABLE cgk_jobs.steps (
    run_seq bigint NOT NULL, place integer NOT NULL, finished_at bigint NOT NULL, tenant_id text COLLATE "C" NOT NULL, name text NOT NULL,
    result text,
    PRIMARY KEY (tenant_id, run_seq, name)
);

-- How attempts ended that did not end their run well.
CREATE TABLE cgk_jobs.attempts (
    run_seq bigint NOT NULL, claim bigint NOT NULL, ended_at bigint NOT NULL, attempt integer NOT NULL, tenant_id text COLLATE "C" NOT NULL,
    outcome text NOT NULL, error text,
    PRIMARY KEY (tenant_id, run_seq, claim)
);

CREATE TABLE cgk_jobs.run_logs (
    run_seq bigint NOT NULL, at bigint NOT NULL, line integer NOT NULL, attempt integer NOT NULL, tenant_id text COLLATE "C" NOT NULL,
    level text NOT NULL, message text NOT NULL,
    PRIMARY KEY (tenant_id, run_seq, line)
);

-- Events nobody listened to when they were sent.
CREATE TABLE cgk_jobs.unrouted_events (
    seq bigint NOT NULL, nonce bigint NOT NULL, created_at bigint NOT NULL, version integer NOT NULL,
    tenant_id text COLLATE "C" NOT NULL CHECK (tenant_id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'), name text NOT NULL, payload text NOT NULL,
    PRIMARY KEY (tenant_id, seq)
);

CREATE TABLE cgk_jobs.idempotency_keys (
    event_seq bigint NOT NULL, nonce bigint NOT NULL, expires_at bigint NOT NULL, tenant_id text COLLATE "C" NOT NULL, event text NOT NULL,
    key text NOT NULL, payload text NOT NULL, run_seqs bigint[] NOT NULL,
    PRIMARY KEY (tenant_id, event, key)
);
CREATE INDEX idempotency_keys_expiring ON cgk_jobs.idempotency_keys (expires_at);

-- One tick of a schedule runs once for each tenant, whatever the schedulers do.
CREATE TABLE cgk_jobs.ticks (
    tick_at bigint NOT NULL, event_seq bigint NOT NULL, run_seq bigint NOT NULL, nonce bigint NOT NULL, tenant_id text COLLATE "C" NOT NULL,
    task text NOT NULL,
    PRIMARY KEY (tenant_id, task, tick_at)
);

-- Virtual clocks. A queue's is the largest virtual start time claimed, a tenant's how far its places reach; both are
-- published from the processes' memory a few times a second, never in a user's transaction.
CREATE TABLE cgk_jobs.queue_clocks (queue text PRIMARY KEY, value double precision NOT NULL) WITH (fillfactor = 20);
CREATE TABLE cgk_jobs.tenant_clocks (
    value double precision NOT NULL, given double precision NOT NULL,  -- the places the last publication added
    tenant_id text COLLATE "C" NOT NULL, queue text NOT NULL, PRIMARY KEY (tenant_id, queue)
) WITH (fillfactor = 50);

-- Runs of higher priority that went ahead of their tenant's older ones. Those move back when a claim reaches them.
CREATE TABLE cgk_jobs.jumps (
    seq bigint NOT NULL, cost double precision NOT NULL, lane integer NOT NULL, tenant_id text COLLATE "C" NOT NULL, queue text NOT NULL,
    PRIMARY KEY (queue, tenant_id, seq)
);

CREATE TABLE cgk_jobs.subscriptions (
    expires double precision, rank integer NOT NULL, lane integer NOT NULL, task text PRIMARY KEY, event text NOT NULL,
    queue text NOT NULL, tags text NOT NULL
);

-- Budgets of limits and rates. tenant_id is 'platform' for one that spans tenants.
CREATE TABLE cgk_jobs.limits (
    starts bigint NOT NULL DEFAULT 0, wake_at bigint, capacity integer NOT NULL, used integer NOT NULL DEFAULT 0,
    parked boolean NOT NULL DEFAULT false, tenant_id text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, key)
) WITH (fillfactor = 50);
CREATE INDEX limits_waking ON cgk_jobs.limits (wake_at) WHERE wake_at IS NOT NULL;
-- The last starts under a rate, in a ring as long as the rate allows starts in its window.
CREATE TABLE cgk_jobs.rate_starts (
    at bigint NOT NULL, place integer NOT NULL, tenant_id text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL, PRIMARY KEY (tenant_id, key, place)
) WITH (fillfactor = 50);

CREATE TABLE cgk_jobs.workers (
    id integer GENERATED ALWAYS AS IDENTITY PRIMARY KEY, pid integer NOT NULL, concurrency integer NOT NULL,
    started_at bigint NOT NULL, beat_at bigint NOT NULL, lease_until bigint NOT NULL, host text NOT NULL, queues text NOT NULL
) WITH (fillfactor = 50);

-- How far each schedule has fired in each time zone, and how far the tick now being fired has come.
CREATE TABLE cgk_jobs.schedules (
    last_at bigint NOT NULL, tick_at bigint, previous_at bigint, missed integer NOT NULL DEFAULT 0, id text NOT NULL,
    timezone text NOT NULL, expression text NOT NULL, after_tenant text,
    PRIMARY KEY (id, timezone)
);

CREATE TABLE cgk_jobs.tenants (
    weight double precision NOT NULL DEFAULT 1, rate_seconds double precision, created_at bigint NOT NULL, concurrency integer,
    rate integer, added boolean NOT NULL, paused boolean NOT NULL DEFAULT false,
    id text COLLATE "C" PRIMARY KEY CHECK (id ~ '^[a-z0-9][a-z0-9_-]{0,62}$'), timezone text
);

CREATE TABLE cgk_jobs.paused (paused_at bigint NOT NULL, kind text NOT NULL, name text NOT NULL, PRIMARY KEY (kind, name));

-- Rises whenever subscriptions, tenants' settings or pauses change: what a process keeps in memory is read anew then.
CREATE TABLE cgk_jobs.configuration (version bigint NOT NULL, only_row boolean PRIMARY KEY DEFAULT true CHECK (only_row));
INSERT INTO cgk_jobs.configuration (version) VALUES (1);
