-- The ledger. Every row has a tenant ('platform' is the installation itself); moments are microseconds since 1970 UTC.

CREATE TABLE runs (
    seq           INTEGER PRIMARY KEY,          -- 48 bits of milliseconds, 15 bits of counter: ordered by time
    nonce         INTEGER NOT NULL,             -- the random part of the UUIDv7
    tenant_id     TEXT NOT NULL CHECK (length(tenant_id) BETWEEN 1 AND 63
                  AND tenant_id NOT GLOB '*[^a-z0-9_-]*' AND tenant_id GLOB '[a-z0-9]*'),
    task          TEXT NOT NULL,
    queue         TEXT NOT NULL,
    state         TEXT NOT NULL,
    rank          INTEGER NOT NULL DEFAULT 0,   -- below 0: before other tenants' runs, where a task asks for it
    lane          INTEGER NOT NULL DEFAULT 0,   -- priority within the tenant, higher first
    vstart        REAL NOT NULL DEFAULT 0,      -- virtual start time: the fair order
    jumped        REAL NOT NULL DEFAULT 0,      -- how far higher lanes had pushed this lane back when the place was given
    attempt       INTEGER NOT NULL DEFAULT 1,
    claim         INTEGER NOT NULL DEFAULT 0,   -- the fence: rises at every claim
    worker        INTEGER,
    due_at        INTEGER,
    expires_at    INTEGER,
    held_by       TEXT,                         -- why a queued run is parked: a limit, a pause, an unknown task
    slots         TEXT,                         -- the concurrency limits it counts for, while it does
    cancel_asked  INTEGER NOT NULL DEFAULT 0,
    event_seq     INTEGER NOT NULL,
    event_name    TEXT NOT NULL,
    event_version INTEGER NOT NULL,
    payload       TEXT NOT NULL,
    result        TEXT,
    error         TEXT,
    progress      TEXT,
    tags          TEXT NOT NULL DEFAULT '',
    tick_at       INTEGER,                      -- the tick of the schedule that made it
    replay_of     INTEGER,
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER
);
-- A claim is one range scan of this index, in the order it is stored, however many tenants wait.
CREATE INDEX runs_ready ON runs (queue, rank, vstart) WHERE state = 'queued' AND held_by IS NULL;
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_expiring ON runs (expires_at) WHERE expires_at IS NOT NULL AND state IN ('scheduled', 'queued', 'retrying');
CREATE INDEX runs_held ON runs (held_by, rank, vstart) WHERE held_by IS NOT NULL;
CREATE INDEX runs_busy ON runs (worker) WHERE worker IS NOT NULL;
CREATE INDEX runs_by_tenant ON runs (tenant_id, seq);
-- One tick of a schedule runs once for each tenant, whatever the schedulers do.
CREATE UNIQUE INDEX runs_ticks ON runs (tick_at, task, tenant_id) WHERE tick_at IS NOT NULL;

CREATE TABLE run_tags (
    tenant_id TEXT NOT NULL, tag TEXT NOT NULL, run_seq INTEGER NOT NULL, PRIMARY KEY (tenant_id, tag, run_seq)
) WITHOUT ROWID;
CREATE INDEX run_tags_by_run ON run_tags (run_seq);

CREATE TABLE steps (
    run_seq INTEGER NOT NULL, name TEXT NOT NULL, tenant_id TEXT NOT NULL, place INTEGER NOT NULL,
    result TEXT, finished_at INTEGER NOT NULL,
    PRIMARY KEY (run_seq, name)
) WITHOUT ROWID;

-- How attempts ended that did not end their run well.
CREATE TABLE attempts (
    run_seq INTEGER NOT NULL, claim INTEGER NOT NULL, tenant_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    outcome TEXT NOT NULL, error TEXT, ended_at INTEGER NOT NULL,
    PRIMARY KEY (run_seq, claim)
) WITHOUT ROWID;

CREATE TABLE run_logs (
    run_seq INTEGER NOT NULL, line INTEGER NOT NULL, tenant_id TEXT NOT NULL, attempt INTEGER NOT NULL,
    at INTEGER NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL,
    PRIMARY KEY (run_seq, line)
) WITHOUT ROWID;

-- Events nobody listened to when they were sent.
CREATE TABLE unrouted_events (
    seq INTEGER PRIMARY KEY, nonce INTEGER NOT NULL,
    tenant_id TEXT NOT NULL CHECK (length(tenant_id) BETWEEN 1 AND 63
        AND tenant_id NOT GLOB '*[^a-z0-9_-]*' AND tenant_id GLOB '[a-z0-9]*'),
    name TEXT NOT NULL, version INTEGER NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL
);

CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL, event TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL,
    event_seq INTEGER NOT NULL, nonce INTEGER NOT NULL, run_seqs TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, event, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiring ON idempotency_keys (expires_at);

-- Virtual clocks: one row for the queue itself (tenant '') and one for each tenant and priority in it.
CREATE TABLE clocks (
    queue TEXT NOT NULL, tenant_id TEXT NOT NULL, lane INTEGER NOT NULL, value REAL NOT NULL,
    jumped REAL NOT NULL DEFAULT 0,
    PRIMARY KEY (queue, tenant_id, lane)
) WITHOUT ROWID;

CREATE TABLE subscriptions (
    task TEXT PRIMARY KEY, event TEXT NOT NULL, queue TEXT NOT NULL, rank INTEGER NOT NULL, lane INTEGER NOT NULL,
    expires REAL, tags TEXT NOT NULL
) WITHOUT ROWID;

-- Budgets of limits and rates. tenant_id is 'platform' for one that spans tenants.
CREATE TABLE limits (
    key TEXT PRIMARY KEY, tenant_id TEXT NOT NULL, capacity INTEGER NOT NULL, used INTEGER NOT NULL DEFAULT 0,
    starts INTEGER NOT NULL DEFAULT 0, parked INTEGER NOT NULL DEFAULT 0, wake_at INTEGER
) WITHOUT ROWID;
CREATE INDEX limits_waking ON limits (wake_at) WHERE wake_at IS NOT NULL;
-- The last starts under a rate, in a ring as long as the rate allows starts in its window.
CREATE TABLE rate_starts (
    key TEXT NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL, PRIMARY KEY (key, place)
) WITHOUT ROWID;

CREATE TABLE workers (
    id INTEGER PRIMARY KEY AUTOINCREMENT, pid INTEGER NOT NULL, host TEXT NOT NULL, lock_file TEXT NOT NULL, doorbell TEXT NOT NULL,
    queues TEXT NOT NULL, concurrency INTEGER NOT NULL, started_at INTEGER NOT NULL, beat_at INTEGER NOT NULL
);

-- How far each schedule has fired in each time zone, and how far the tick now being fired has come.
CREATE TABLE schedules (
    id TEXT NOT NULL, timezone TEXT NOT NULL, expression TEXT NOT NULL, last_at INTEGER NOT NULL,
    tick_at INTEGER, missed INTEGER NOT NULL DEFAULT 0, after_tenant TEXT, previous_at INTEGER,
    PRIMARY KEY (id, timezone)
) WITHOUT ROWID;

CREATE TABLE tenants (
    id TEXT PRIMARY KEY, added INTEGER NOT NULL, timezone TEXT, weight REAL NOT NULL DEFAULT 1,
    concurrency INTEGER, rate INTEGER, rate_seconds REAL, paused INTEGER NOT NULL DEFAULT 0, created_at INTEGER NOT NULL
) WITHOUT ROWID;

CREATE TABLE paused (kind TEXT NOT NULL, name TEXT NOT NULL, paused_at INTEGER NOT NULL, PRIMARY KEY (kind, name)) WITHOUT ROWID;

-- Rises whenever subscriptions, tenants' settings or pauses change: what a process keeps in memory is read anew then.
CREATE TABLE configuration (version INTEGER NOT NULL);
INSERT INTO configuration VALUES (1);
