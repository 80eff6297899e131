-- The ledger. Every row has a tenant; moments are microseconds since 1970 UTC.

CREATE TABLE meta (name TEXT PRIMARY KEY, value) WITHOUT ROWID;

CREATE TABLE runs (
    seq           INTEGER PRIMARY KEY,          -- 48 bits of milliseconds, 15 bits of counter: ordered by time
    nonce         INTEGER NOT NULL,             -- random part of the UUIDv7
    tenant_id     TEXT NOT NULL CHECK (length(tenant_id) BETWEEN 1 AND 63 AND tenant_id NOT GLOB '*[^a-z0-9_-]*' AND tenant_id GLOB '[a-z0-9]*'),
    task          TEXT NOT NULL,
    queue         TEXT NOT NULL,
    state         TEXT NOT NULL,
    rank          INTEGER NOT NULL DEFAULT 0,   -- below 0: precedence over other tenants, asked for by the task
    vstart        REAL NOT NULL DEFAULT 0,      -- virtual start time: the fair order
    priority      INTEGER NOT NULL DEFAULT 0,   -- order within the tenant
    attempt       INTEGER NOT NULL DEFAULT 1,
    claim         INTEGER NOT NULL DEFAULT 0,   -- the fence: rises at every claim
    worker        INTEGER,
    due_at        INTEGER,
    expires_at    INTEGER,
    held_by       TEXT,                         -- why a queued run is not ready: a limit, a pause, an unknown task
    limits        TEXT,                         -- JSON list of the limit keys this run is subject to
    held          TEXT,                         -- JSON list of the concurrency slots it occupies
    cancel_asked  INTEGER NOT NULL DEFAULT 0,
    event_seq     INTEGER NOT NULL,
    event_name    TEXT NOT NULL,
    event_version INTEGER NOT NULL,
    payload       TEXT NOT NULL,
    result        TEXT,
    error         TEXT,
    tags          TEXT NOT NULL DEFAULT '',
    progress      REAL,
    key_seed      INTEGER NOT NULL DEFAULT 0,   -- run whose idempotency keys this one uses; 0 is its own
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER
);
-- A claim is one range scan of this index, in the order it is stored, however many tenants wait.
CREATE INDEX runs_ready ON runs (queue, rank, vstart) WHERE state = 'queued' AND held_by IS NULL;
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_held ON runs (held_by, vstart) WHERE held_by IS NOT NULL;
CREATE INDEX runs_busy ON runs (worker) WHERE worker IS NOT NULL;
CREATE INDEX runs_expiry ON runs (expires_at) WHERE expires_at IS NOT NULL;
CREATE INDEX runs_prioritised ON runs (queue, tenant_id, priority DESC, vstart)
    WHERE state = 'queued' AND held_by IS NULL AND priority > 0;
CREATE INDEX runs_by_tenant ON runs (tenant_id, seq);

CREATE TABLE steps (
    run_seq INTEGER NOT NULL, name TEXT NOT NULL, tenant_id TEXT NOT NULL,
    result TEXT, attempt INTEGER NOT NULL, finished_at INTEGER NOT NULL,
    PRIMARY KEY (run_seq, name)
) WITHOUT ROWID;

CREATE TABLE run_log (
    id INTEGER PRIMARY KEY, run_seq INTEGER NOT NULL, tenant_id TEXT NOT NULL,
    at INTEGER NOT NULL, level TEXT NOT NULL, message TEXT NOT NULL
);
CREATE INDEX run_log_by_run ON run_log (run_seq, id);

-- Events nobody listened to when they were sent.
CREATE TABLE unrouted_events (
    seq INTEGER PRIMARY KEY, nonce INTEGER NOT NULL, tenant_id TEXT NOT NULL, name TEXT NOT NULL,
    version INTEGER NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL
);

CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL, event TEXT NOT NULL, key TEXT NOT NULL, payload_hash BLOB NOT NULL,
    event_id TEXT NOT NULL, run_ids TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, event, key)
) WITHOUT ROWID;
CREATE INDEX idempotency_keys_expiry ON idempotency_keys (expires_at);

-- Virtual clocks: one row for the queue itself (tenant '') and one for each tenant in it.
CREATE TABLE clocks (queue TEXT NOT NULL, tenant_id TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (queue, tenant_id)) WITHOUT ROWID;

CREATE TABLE limit_slots (key TEXT PRIMARY KEY, used INTEGER NOT NULL) WITHOUT ROWID;
CREATE TABLE rate_starts (key TEXT NOT NULL, at INTEGER NOT NULL, seq INTEGER NOT NULL, PRIMARY KEY (key, at, seq)) WITHOUT ROWID;
CREATE TABLE rate_lines (key TEXT PRIMARY KEY, until INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE subscriptions (
    task TEXT PRIMARY KEY, event TEXT NOT NULL, queue TEXT NOT NULL, priority INTEGER NOT NULL, rank INTEGER NOT NULL,
    expires REAL, tags TEXT NOT NULL, limits TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE schedules (
    id TEXT PRIMARY KEY, cron TEXT NOT NULL, timezone TEXT NOT NULL, tenants TEXT NOT NULL, misfire TEXT NOT NULL,
    spread REAL NOT NULL, skip TEXT NOT NULL, paused INTEGER NOT NULL DEFAULT 0
) WITHOUT ROWID;
-- One per time zone a schedule is read in: its own, and those of tenants that have one.
CREATE TABLE schedule_clocks (
    schedule TEXT NOT NULL, timezone TEXT NOT NULL, next_at INTEGER NOT NULL, last_at INTEGER,
    firing_at INTEGER, firing_missed INTEGER NOT NULL DEFAULT 0, cursor TEXT NOT NULL DEFAULT '',
    PRIMARY KEY (schedule, timezone)
) WITHOUT ROWID;
CREATE INDEX schedule_clocks_next ON schedule_clocks (next_at);
CREATE TABLE ticks (
    tenant_id TEXT NOT NULL, schedule TEXT NOT NULL, scheduled_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, schedule, scheduled_at)
) WITHOUT ROWID;
CREATE TABLE schedule_pauses (schedule TEXT NOT NULL, tenant_id TEXT NOT NULL, PRIMARY KEY (schedule, tenant_id)) WITHOUT ROWID;

CREATE TABLE tenants (
    id TEXT PRIMARY KEY, added INTEGER NOT NULL DEFAULT 0, paused INTEGER NOT NULL DEFAULT 0,
    weight REAL NOT NULL DEFAULT 1, max_running INTEGER, timezone TEXT, created_at INTEGER NOT NULL
) WITHOUT ROWID;
CREATE TABLE paused_queues (queue TEXT PRIMARY KEY) WITHOUT ROWID;

CREATE TABLE workers (
    id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, lock_file TEXT NOT NULL,
    started_at INTEGER NOT NULL, heartbeat_at INTEGER NOT NULL
);
