-- Workflows: a run and its children, waits for events, steps that are not finished yet, and runs that are being undone.

ALTER TABLE cgk_jobs.runs
    ADD parent_seq bigint,                          -- the run that called it
    ADD depth integer NOT NULL DEFAULT 0,           -- how many runs above it wait for it
    ADD woken boolean NOT NULL DEFAULT false,       -- what it waits for came before it was suspended
    ADD direct boolean NOT NULL DEFAULT false,      -- sent to its task alone, or for later: no event that a wait may answer with
    ADD parent_step text,                           -- the entry of the parent's journal its outcome is written to
    ADD failing text;                               -- it failed for good with this error, and its steps are being undone
CREATE INDEX runs_by_parent ON cgk_jobs.runs (tenant_id, parent_seq, seq) WHERE parent_seq IS NOT NULL;

ALTER TABLE cgk_jobs.finished_runs
    ADD parent_seq bigint, ADD depth integer NOT NULL DEFAULT 0, ADD direct boolean NOT NULL DEFAULT false, ADD parent_step text,
    ADD failing text;
CREATE INDEX finished_runs_by_parent ON cgk_jobs.finished_runs (tenant_id, parent_seq, seq) WHERE parent_seq IS NOT NULL;

ALTER TABLE cgk_jobs.steps
    ADD ordered boolean NOT NULL DEFAULT false,     -- every attempt must ask for it at the same place
    ADD undoable boolean NOT NULL DEFAULT false,
    ADD failed boolean NOT NULL DEFAULT false,      -- its result says how
    ADD pending integer NOT NULL DEFAULT 0;         -- how many outcomes it still waits for; 0: it is finished

-- Runs that wait for an event, by the values its fields must have.
CREATE TABLE cgk_jobs.event_waits (
    run_seq bigint NOT NULL, tenant_id text COLLATE "C" NOT NULL, event text NOT NULL, fields text NOT NULL, wanted text NOT NULL,
    step text NOT NULL,
    PRIMARY KEY (tenant_id, event, fields, wanted, run_seq, step)
);
CREATE INDEX event_waits_by_run ON cgk_jobs.event_waits (tenant_id, run_seq);

-- The kinds of waits there ever were, and a number no earlier event had when each was new: later events leave a mark.
CREATE TABLE cgk_jobs.awaited_events (since_seq bigint NOT NULL, event text NOT NULL, fields text NOT NULL, PRIMARY KEY (event, fields));

-- Where the events are that a wait may look back for. run_seq is NULL for one nobody listened to.
CREATE TABLE cgk_jobs.event_marks (
    event_seq bigint NOT NULL, run_seq bigint, tenant_id text COLLATE "C" NOT NULL, event text NOT NULL, fields text NOT NULL,
    wanted text NOT NULL,
    PRIMARY KEY (tenant_id, event, fields, wanted, event_seq)
);
CREATE INDEX event_marks_by_age ON cgk_jobs.event_marks (event_seq);

ALTER TABLE cgk_jobs.event_waits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.awaited_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.event_marks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON cgk_jobs.event_waits TO cgk_jobs_worker USING (true) WITH CHECK (true);
CREATE POLICY worker_all ON cgk_jobs.awaited_events TO cgk_jobs_worker USING (true) WITH CHECK (true);
CREATE POLICY worker_all ON cgk_jobs.event_marks TO cgk_jobs_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cgk_jobs.event_waits, cgk_jobs.awaited_events, cgk_jobs.event_marks TO cgk_jobs_worker;
