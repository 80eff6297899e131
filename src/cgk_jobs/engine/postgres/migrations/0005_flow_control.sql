-- Flow control: one run for several events, fewer runs, runs in order; and what handlers keep about their runs.

ALTER TABLE cgk_jobs.runs
    ADD events integer NOT NULL DEFAULT 1,          -- how many events it stands for: debounced or batched ones
    ADD metadata text,                              -- what the handler keeps about the run, a JSON object
    ADD flow_key text COLLATE "C",                  -- the runs it is one with, or instead of
    ADD order_key text COLLATE "C";                 -- the line it stands in
CREATE INDEX runs_flowing ON cgk_jobs.runs (tenant_id, flow_key, seq) WHERE flow_key IS NOT NULL;
-- One run of a line is ahead; the others are parked behind it (held_by 'order'), in the order sent.
CREATE UNIQUE INDEX runs_ahead ON cgk_jobs.runs (tenant_id, order_key) WHERE order_key IS NOT NULL AND held_by IS DISTINCT FROM 'order';
CREATE INDEX runs_in_line ON cgk_jobs.runs (tenant_id, order_key, seq) WHERE held_by = 'order';

ALTER TABLE cgk_jobs.finished_runs
    ADD events integer NOT NULL DEFAULT 1, ADD metadata text, ADD flow_key text COLLATE "C", ADD order_key text COLLATE "C";

ALTER TABLE cgk_jobs.subscriptions ADD flow text NOT NULL DEFAULT '';
ALTER TABLE cgk_jobs.idempotency_keys ADD run_nonces bigint[];

-- The events a throttle let through for a key, numbered: the one as many places back as it allows decides about the next.
CREATE TABLE cgk_jobs.throttles (
    place bigint NOT NULL, at bigint NOT NULL, expires_at bigint NOT NULL, tenant_id text COLLATE "C" NOT NULL, key text COLLATE "C" NOT NULL,
    PRIMARY KEY (tenant_id, key, place)
);
CREATE INDEX throttles_expiring ON cgk_jobs.throttles (expires_at);
ALTER TABLE cgk_jobs.throttles ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY;
CREATE POLICY worker_all ON cgk_jobs.throttles TO cgk_jobs_worker USING (true) WITH CHECK (true);
GRANT SELECT, INSERT, UPDATE, DELETE ON cgk_jobs.throttles TO cgk_jobs_worker;
-- No samples of tenants' names and words: see 0002.
ALTER TABLE cgk_jobs.runs ALTER metadata SET STATISTICS 0, ALTER flow_key SET STATISTICS 0, ALTER order_key SET STATISTICS 0;
ALTER TABLE cgk_jobs.finished_runs ALTER metadata SET STATISTICS 0, ALTER flow_key SET STATISTICS 0, ALTER order_key SET STATISTICS 0;
ALTER TABLE cgk_jobs.throttles ALTER tenant_id SET STATISTICS 0, ALTER key SET STATISTICS 0;
