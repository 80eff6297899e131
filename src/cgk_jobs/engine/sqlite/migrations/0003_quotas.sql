-- Quotas: what a tenant may store. Only tenants that have one are in these tables.

CREATE TABLE tenant_quotas (
    tenant_id TEXT PRIMARY KEY, queued_soft INTEGER, queued_hard INTEGER, bytes_soft INTEGER, bytes_hard INTEGER,
    sends_soft INTEGER, sends_hard INTEGER, sends_seconds REAL,
    closed INTEGER NOT NULL DEFAULT 0           -- the tenant is being purged: nothing is taken from it
) WITHOUT ROWID;

-- What it has used: counted in the transactions that send and settle.
CREATE TABLE quota_counters (
    tenant_id TEXT PRIMARY KEY, runs INTEGER NOT NULL, payload_bytes INTEGER NOT NULL,
    window_at INTEGER NOT NULL, sends INTEGER NOT NULL, sends_before INTEGER NOT NULL,
    warned INTEGER NOT NULL, refused_ticks INTEGER NOT NULL, recount_at INTEGER NOT NULL
) WITHOUT ROWID;

-- A row: deleted text of a purged tenant may still lie in free pages, until the file has been written anew.
CREATE TABLE rewrites_owed (since INTEGER PRIMARY KEY);
