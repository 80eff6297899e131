-- Oldest code: schema 7. Runs of tasks with flow control that were sent in transactions of the application's: decided after those.
-- Older code would start them undecided.

ALTER TABLE cgk_jobs.runs ADD arriving boolean NOT NULL DEFAULT false;  -- whether it becomes a run of its own is not decided yet
CREATE INDEX runs_arriving ON cgk_jobs.runs (tenant_id, seq) WHERE arriving;

-- A tenant's own sends leave the decision to the engine where there is one.
ALTER POLICY tenant_sends ON cgk_jobs.runs WITH CHECK (
    tenant_id = (SELECT cgk_jobs.bound_tenant())
    AND state = 'scheduled' AND due_at IS NOT NULL AND claim = 0 AND attempt = 1 AND vstart = 0 AND moved_for = 0
    AND worker IS NULL AND started_at IS NULL AND tick_at IS NULL AND held_by IS NULL AND slots IS NULL AND NOT cancel_asked
    AND error IS NULL AND progress IS NULL AND parent_seq IS NULL AND parent_step IS NULL AND depth = 0 AND NOT woken
    AND failing IS NULL AND events = 1 AND metadata IS NULL AND flow_key IS NULL AND order_key IS NULL
    AND EXISTS (SELECT FROM cgk_jobs.subscriptions s WHERE s.task = runs.task AND s.queue = runs.queue AND s.rank = runs.rank
        AND runs.arriving = (s.flow <> '')));
