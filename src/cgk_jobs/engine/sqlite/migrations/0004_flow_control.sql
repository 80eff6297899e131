-- Flow control: one run for several events, fewer runs, runs in order; and what handlers keep about their runs.

ALTER TABLE runs ADD COLUMN metadata TEXT;      -- what the handler keeps about the run, a JSON object
ALTER TABLE runs ADD COLUMN flow_key TEXT;      -- the runs it is one with, or instead of
ALTER TABLE runs ADD COLUMN order_key TEXT;     -- the line it stands in
ALTER TABLE runs ADD COLUMN events INTEGER NOT NULL DEFAULT 1;      -- how many events it stands for: debounced or batched ones
CREATE INDEX runs_flowing ON runs (tenant_id, flow_key, seq) WHERE flow_key IS NOT NULL AND finished_at IS NULL;
-- One run of a line is ahead; the others are parked behind it (held_by 'order'), in the order sent.
CREATE UNIQUE INDEX runs_ahead ON runs (tenant_id, order_key)
    WHERE order_key IS NOT NULL AND finished_at IS NULL AND held_by IS NOT 'order';
CREATE INDEX runs_in_line ON runs (tenant_id, order_key, seq) WHERE held_by = 'order';

ALTER TABLE subscriptions ADD COLUMN flow TEXT NOT NULL DEFAULT '';

-- The events a throttle let through for a key, numbered: the one as many places back as it allows decides about the next.
CREATE TABLE throttles (
    tenant_id TEXT NOT NULL, key TEXT NOT NULL, place INTEGER NOT NULL, at INTEGER NOT NULL, expires_at INTEGER NOT NULL,
    PRIMARY KEY (tenant_id, key, place)
) WITHOUT ROWID;
CREATE INDEX throttles_expiring ON throttles (expires_at);
