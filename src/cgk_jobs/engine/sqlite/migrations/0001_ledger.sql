-- The ledger. Every row has a tenant; moments are microseconds since 1970 UTC.
CREATE TABLE runs (
    seq           INTEGER PRIMARY KEY,          -- 48 bits of milliseconds, 15 bits of counter: ordered by time
    nonce         INTEGER NOT NULL,             -- random part of the UUIDv7
    tenant_id     TEXT NOT NULL CHECK (length(tenant_id) BETWEEN 1 AND 63
                  AND tenant_id NOT GLOB '*[^a-z0-9_-]*' AND tenant_id GLOB '[a-z0-9]*'),
    task          TEXT NOT NULL,
    queue         TEXT NOT NULL,
    state         TEXT NOT NULL,
    vstart        REAL NOT NULL DEFAULT 0,      -- virtual start time: the fair order
    attempt       INTEGER NOT NULL DEFAULT 1,
    claim         INTEGER NOT NULL DEFAULT 0,   -- the fence: rises at every claim
    worker        INTEGER,
    due_at        INTEGER,
    expires_at    INTEGER,
    held_by       TEXT,                         -- why a queued run is not ready
    cancel_asked  INTEGER NOT NULL DEFAULT 0,
    event_seq     INTEGER NOT NULL,
    event_name    TEXT NOT NULL,
    event_version INTEGER NOT NULL,
    payload       TEXT NOT NULL,
    result        TEXT,
    error         TEXT,
    tags          TEXT NOT NULL DEFAULT '',
    created_at    INTEGER NOT NULL,
    started_at    INTEGER,
    finished_at   INTEGER
);
-- A claim is one range scan of this index, in the order it is stored, however many tenants wait.
CREATE INDEX runs_ready ON runs (queue, vstart) WHERE state = 'queued' AND held_by IS NULL;
CREATE INDEX runs_due ON runs (due_at) WHERE due_at IS NOT NULL;
CREATE INDEX runs_held ON runs (held_by) WHERE held_by IS NOT NULL;
CREATE INDEX runs_busy ON runs (worker) WHERE worker IS NOT NULL;
CREATE INDEX runs_by_tenant ON runs (tenant_id, seq);

CREATE TABLE steps (
    run_seq INTEGER NOT NULL, name TEXT NOT NULL, tenant_id TEXT NOT NULL,
    result TEXT, finished_at INTEGER NOT NULL,
    PRIMARY KEY (run_seq, name)
) WITHOUT ROWID;

-- Events nobody listened to when they were sent.
CREATE TABLE unrouted_events (
    seq INTEGER PRIMARY KEY, nonce INTEGER NOT NULL, tenant_id TEXT NOT NULL, name TEXT NOT NULL,
    version INTEGER NOT NULL, payload TEXT NOT NULL, created_at INTEGER NOT NULL
);

CREATE TABLE idempotency_keys (
    tenant_id TEXT NOT NULL, event TEXT NOT NULL, key TEXT NOT NULL, payload TEXT NOT NULL,
    event_id TEXT NOT NULL, run_ids TEXT NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, event, key)
) WITHOUT ROWID;

-- Virtual clocks: one row for the queue itself (tenant '') and one for each tenant in it.
CREATE TABLE clocks (
    queue TEXT NOT NULL, tenant_id TEXT NOT NULL, value REAL NOT NULL, PRIMARY KEY (queue, tenant_id)
) WITHOUT ROWID;

CREATE TABLE subscriptions (
    task TEXT PRIMARY KEY, event TEXT NOT NULL, queue TEXT NOT NULL, expires REAL, tags TEXT NOT NULL
) WITHOUT ROWID;

CREATE TABLE workers (id INTEGER PRIMARY KEY, pid INTEGER NOT NULL, lock_file TEXT NOT NULL);

-- The newest tick of each schedule that was fired; ticks themselves are unique by idempotency key.
CREATE TABLE schedules (id TEXT PRIMARY KEY, last_at INTEGER NOT NULL) WITHOUT ROWID;

CREATE TABLE tenants (id TEXT PRIMARY KEY, created_at INTEGER NOT NULL) WITHOUT ROWID;
