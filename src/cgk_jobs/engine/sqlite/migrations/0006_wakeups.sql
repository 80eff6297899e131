-- Oldest code: schema 4. Wake-ups at providers that call the application when a run is due. Empty where workers claim by themselves.

CREATE TABLE wakeups (
    tenant_id TEXT NOT NULL, id TEXT NOT NULL,
    run_seq INTEGER NOT NULL, run_nonce INTEGER NOT NULL, task TEXT NOT NULL, lane INTEGER NOT NULL,
    queue     TEXT NOT NULL,                -- from which it permits to claim one run
    provider  TEXT NOT NULL,
    due_at    INTEGER NOT NULL,
    issued_at INTEGER NOT NULL,             -- when it was last handed out
    rings_at  INTEGER,                      -- from when on it is expected to ring; NULL until the provider has acknowledged it
    reference TEXT NOT NULL DEFAULT '',     -- the provider's name for it
    refused   TEXT,                         -- why the provider will never take it
    obsolete  INTEGER NOT NULL DEFAULT 0,   -- replaced, or its run needs none: to be taken back
    PRIMARY KEY (tenant_id, id)
) WITHOUT ROWID;
-- A run has one at most, whoever hands them out.
CREATE UNIQUE INDEX wakeups_of_run ON wakeups (tenant_id, run_seq) WHERE obsolete = 0;
CREATE INDEX wakeups_by_id ON wakeups (id);
CREATE INDEX wakeups_handed ON wakeups (provider, queue, due_at) WHERE obsolete = 0;
CREATE INDEX wakeups_unacknowledged ON wakeups (issued_at) WHERE rings_at IS NULL;
CREATE INDEX wakeups_obsolete ON wakeups (provider, id) WHERE obsolete = 1;

-- Who is handed new wake-ups, and whose old ones may still ring (a JSON list).
CREATE TABLE active_provider (
    only_row INTEGER PRIMARY KEY CHECK (only_row = 1), name TEXT NOT NULL, draining TEXT NOT NULL, version INTEGER NOT NULL
);

-- Signed calls that were accepted, so that none is accepted twice. They belong to the installation: no tenant's data is in them.
CREATE TABLE seen_calls (key TEXT PRIMARY KEY, tenant_id TEXT NOT NULL DEFAULT 'platform', until INTEGER NOT NULL) WITHOUT ROWID;
CREATE INDEX seen_calls_by_age ON seen_calls (until);
