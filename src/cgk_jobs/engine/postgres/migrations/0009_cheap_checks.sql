-- Oldest code: schema 5. The same tenants' names as before, asked for in another way: an automaton for a repetition of up to 62 is
-- built anew for each row, state by state, and took a quarter of an insert and a fifth of a claim. Without the bound it has
-- three states, and the length is a number.

ALTER TABLE cgk_jobs.runs DROP CONSTRAINT runs_tenant_id_check,
    ADD CONSTRAINT runs_tenant_id_check CHECK (octet_length(tenant_id) <= 63 AND tenant_id ~ '^[a-z0-9][a-z0-9_-]*$');
ALTER TABLE cgk_jobs.unrouted_events DROP CONSTRAINT unrouted_events_tenant_id_check,
    ADD CONSTRAINT unrouted_events_tenant_id_check CHECK (octet_length(tenant_id) <= 63 AND tenant_id ~ '^[a-z0-9][a-z0-9_-]*$');
ALTER TABLE cgk_jobs.wakeups DROP CONSTRAINT wakeups_tenant_id_check,
    ADD CONSTRAINT wakeups_tenant_id_check CHECK (octet_length(tenant_id) <= 63 AND tenant_id ~ '^[a-z0-9][a-z0-9_-]*$');
