-- Workflows: a run and its children, waits for events, steps that are not finished yet, and runs that are being undone.

ALTER TABLE runs ADD COLUMN parent_seq INTEGER;         -- the run that called it
ALTER TABLE runs ADD COLUMN parent_step TEXT;           -- the entry of the parent's journal its outcome is written to
ALTER TABLE runs ADD COLUMN depth INTEGER NOT NULL DEFAULT 0;   -- how many runs above it wait for it
ALTER TABLE runs ADD COLUMN woken INTEGER NOT NULL DEFAULT 0;   -- what it waits for came before it was suspended
ALTER TABLE runs ADD COLUMN failing TEXT;               -- it failed for good with this error, and its steps are being undone
ALTER TABLE runs ADD COLUMN direct INTEGER NOT NULL DEFAULT 0;  -- sent to its task alone, or for later: no event that a wait may answer with
CREATE INDEX runs_by_parent ON runs (parent_seq, seq) WHERE parent_seq IS NOT NULL;

ALTER TABLE steps ADD COLUMN ordered INTEGER NOT NULL DEFAULT 0;    -- every attempt must ask for it at the same place
ALTER TABLE steps ADD COLUMN undoable INTEGER NOT NULL DEFAULT 0;
ALTER TABLE steps ADD COLUMN failed INTEGER NOT NULL DEFAULT 0;     -- its result says how
ALTER TABLE steps ADD COLUMN pending INTEGER NOT NULL DEFAULT 0;    -- how many outcomes it still waits for; 0: it is finished

-- Runs that wait for an event, by the values its fields must have.
CREATE TABLE event_waits (
    tenant_id TEXT NOT NULL, event TEXT NOT NULL, fields TEXT NOT NULL, wanted TEXT NOT NULL,
    run_seq INTEGER NOT NULL, step TEXT NOT NULL,
    PRIMARY KEY (tenant_id, event, fields, wanted, run_seq, step)
) WITHOUT ROWID;
CREATE INDEX event_waits_by_run ON event_waits (run_seq);

-- The kinds of waits there ever were, and the last number given when each was new: later events leave a mark.
CREATE TABLE awaited_events (
    event TEXT NOT NULL, fields TEXT NOT NULL, since_seq INTEGER NOT NULL, PRIMARY KEY (event, fields)
) WITHOUT ROWID;

-- Where the events are that a wait may look back for. run_seq is NULL for one nobody listened to.
CREATE TABLE event_marks (
    tenant_id TEXT NOT NULL, event TEXT NOT NULL, fields TEXT NOT NULL, wanted TEXT NOT NULL,
    event_seq INTEGER NOT NULL, run_seq INTEGER,
    PRIMARY KEY (tenant_id, event, fields, wanted, event_seq)
) WITHOUT ROWID;
CREATE INDEX event_marks_by_age ON event_marks (event_seq);
