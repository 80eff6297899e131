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

-- Sent in a transaction of the application's, and nobody who may wait for it has been told yet.
ALTER TABLE cgk_jobs.unrouted_events ADD arriving boolean NOT NULL DEFAULT false;
CREATE INDEX unrouted_arriving ON cgk_jobs.unrouted_events (tenant_id, seq) WHERE arriving;

ALTER TABLE cgk_jobs.event_waits ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.awaited_events ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
ALTER TABLE cgk_jobs.event_marks ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON cgk_jobs.event_waits TO cgk_jobs_worker USING (true) WITH CHECK (true);
CREATE POLICY worker_all ON cgk_jobs.awaited_events TO cgk_jobs_worker USING (true) WITH CHECK (true);
CREATE POLICY worker_all ON cgk_jobs.event_marks TO cgk_jobs_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cgk_jobs.event_waits, cgk_jobs.awaited_events, cgk_jobs.event_marks TO cgk_jobs_worker;
-- No samples of tenants' names and words: see 0002.
ALTER TABLE cgk_jobs.runs ALTER failing SET STATISTICS 0;
ALTER TABLE cgk_jobs.finished_runs ALTER failing SET STATISTICS 0;
ALTER TABLE cgk_jobs.event_waits ALTER tenant_id SET STATISTICS 0, ALTER wanted SET STATISTICS 0;
ALTER TABLE cgk_jobs.event_marks ALTER tenant_id SET STATISTICS 0, ALTER wanted SET STATISTICS 0;

-- A step in the transaction of its own writes: journals it as finished, for a run of the bound tenant, under its claim. False: the
-- attempt lost its run, or the step is finished already. A tenant's login may neither lock a run nor write its journal otherwise.
-- FOR SHARE waits for a rescue that is under way, and keeps the next one waiting until this transaction has ended.
CREATE FUNCTION cgk_jobs.record_step(run bigint, fence bigint, step text, outcome text, nth integer, in_order boolean, to_undo boolean,
    went_wrong boolean, moment bigint) RETURNS boolean
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, cgk_jobs, pg_temp
AS $$
DECLARE
    tenant constant text := cgk_jobs.bound_tenant();
BEGIN
    PERFORM FROM cgk_jobs.runs r
    WHERE r.tenant_id = tenant AND r.seq = run AND r.claim = fence AND r.state = 'running' FOR SHARE;
    IF NOT FOUND THEN
        RETURN false;
    END IF;
    INSERT INTO cgk_jobs.steps AS written (run_seq, place, finished_at, tenant_id, name, result, ordered, undoable, failed)
    VALUES (run, coalesce(nth, (SELECT count(*) FROM cgk_jobs.steps s WHERE s.tenant_id = tenant AND s.run_seq = run)::integer),
        coalesce(moment, (extract(epoch FROM clock_timestamp()) * 1000000)::bigint), tenant, step, outcome, in_order, to_undo, went_wrong)
    -- It may have been tried before, and be pending.
    ON CONFLICT (tenant_id, run_seq, name) DO UPDATE SET result = excluded.result, finished_at = excluded.finished_at,
        undoable = excluded.undoable, failed = excluded.failed, pending = 0
    WHERE written.pending > 0;
    RETURN FOUND;
END $$;
REVOKE ALL ON FUNCTION cgk_jobs.record_step(bigint, bigint, text, text, integer, boolean, boolean, boolean, bigint) FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cgk_jobs.record_step(bigint, bigint, text, text, integer, boolean, boolean, boolean, bigint)
    TO cgk_jobs_worker, cgk_jobs_tenant;
-- It runs as the owner, who gets to see, lock and write what it does for the bound tenant, and can change no run.
CREATE POLICY owner_reads ON cgk_jobs.runs FOR SELECT TO cgk_jobs_owner
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY owner_locks ON cgk_jobs.runs FOR UPDATE TO cgk_jobs_owner
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant())) WITH CHECK (false);
CREATE POLICY owner_reads ON cgk_jobs.steps FOR SELECT TO cgk_jobs_owner
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY owner_writes ON cgk_jobs.steps FOR INSERT TO cgk_jobs_owner
    WITH CHECK (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY owner_finishes ON cgk_jobs.steps FOR UPDATE TO cgk_jobs_owner
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant())) WITH CHECK (tenant_id = (SELECT cgk_jobs.bound_tenant()));

-- A tenant's own sends call nobody's runs: those have a caller only where the engine makes them.
ALTER POLICY tenant_sends ON cgk_jobs.runs WITH CHECK (
    tenant_id = (SELECT cgk_jobs.bound_tenant())
    AND state = 'scheduled' AND due_at IS NOT NULL AND claim = 0 AND attempt = 1 AND vstart = 0 AND moved_for = 0
    AND worker IS NULL AND started_at IS NULL AND tick_at IS NULL AND held_by IS NULL AND slots IS NULL AND NOT cancel_asked
    AND error IS NULL AND progress IS NULL AND parent_seq IS NULL AND parent_step IS NULL AND depth = 0 AND NOT woken
    AND failing IS NULL
    AND EXISTS (SELECT FROM cgk_jobs.subscriptions s WHERE s.task = runs.task AND s.queue = runs.queue AND s.rank = runs.rank));
