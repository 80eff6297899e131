-- The wall between tenants, kept by PostgreSQL itself: docs/tenant-wall.md.
--
--   cgk_jobs_owner   owns everything here, and reads two tables: the key of the bindings and the record of migrations
--   cgk_jobs_worker  the engine: every row of every tenant
--   cgk_jobs_tenant  handlers and transactional sends: the rows of the tenant its transaction is bound to
--
-- Row security is enabled and forced everywhere, so what no policy names is closed, to the owner too.

REVOKE ALL ON SCHEMA cgk_jobs FROM PUBLIC;
GRANT USAGE ON SCHEMA cgk_jobs TO cgk_jobs_worker, cgk_jobs_tenant;
-- PUBLIC may run every new function unless told otherwise.
ALTER DEFAULT PRIVILEGES FOR ROLE cgk_jobs_owner REVOKE EXECUTE ON FUNCTIONS FROM PUBLIC;

-- What signs bindings: two keys of a keyed hash (NMAC, of which HMAC is the form with one key). Who can read it can act for
-- every tenant, so tenants' logins can't.
CREATE TABLE cgk_jobs.tenant_key (
    inner_key bytea NOT NULL CHECK (octet_length(inner_key) = 64),
    outer_key bytea NOT NULL CHECK (octet_length(outer_key) = 64),
    only_row  boolean PRIMARY KEY DEFAULT true CHECK (only_row)
);
INSERT INTO cgk_jobs.tenant_key (inner_key, outer_key)
SELECT sha512(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
           || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())),
       sha512(uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid())
           || uuid_send(gen_random_uuid()) || uuid_send(gen_random_uuid()));

-- The tenant this transaction is bound to, NULL without a valid binding. The setting cgk_jobs.token holds
-- 'tenant:signature', and the signature names this server process, this transaction and this database: a token written by
-- SQL, or kept from another transaction, is not valid. Restricted to the leader of a parallel query, whose process is named.
CREATE FUNCTION cgk_jobs.bound_tenant() RETURNS text
LANGUAGE plpgsql STABLE PARALLEL RESTRICTED SECURITY DEFINER
SET search_path = pg_catalog, cgk_jobs, pg_temp
AS $$
DECLARE
    token  constant text := current_setting('cgk_jobs.token', true);
    tenant constant text := split_part(token, ':', 1);
    valid  boolean;
BEGIN
    IF token IS NULL OR tenant = '' THEN
        RETURN NULL;
    END IF;
    -- Hashed once more before they are compared, so that the time it takes says nothing of how far a guess was right.
    SELECT sha256(k.outer_key || convert_to(split_part(token, ':', 2), 'UTF8')) = sha256(k.outer_key || convert_to(
        encode(sha256(k.outer_key || sha256(k.inner_key || convert_to(concat_ws('|', 'v1', tenant, pg_backend_pid(),
            (extract(epoch FROM now()) * 1000000)::bigint,
            (SELECT oid FROM pg_database WHERE datname = current_database())), 'UTF8'))), 'hex'), 'UTF8'))
    INTO valid FROM cgk_jobs.tenant_key k;
    RETURN CASE WHEN valid THEN tenant END;
END $$;

-- Days of finished runs --------------------------------------------------------------------------------------------------

-- Makes today's partition and those of the next days; answers how many were missing. A day of which runs lie in the default
-- partition already stays there. Only the owner can make tables, so workers ask for it here. Partitions are reached through
-- their parent alone: nobody has a grant on them, and no policy opens them.
CREATE FUNCTION cgk_jobs.make_days(days integer) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, cgk_jobs, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    length constant bigint := 86400000000;
    today  constant bigint := (extract(epoch FROM clock_timestamp()) * 1000000)::bigint / length * length;
    starts bigint;
    day    text;
    made   integer := 0;
BEGIN
    IF days IS NULL OR days NOT BETWEEN 0 AND 31 THEN
        RAISE EXCEPTION 'make_days takes 0 to 31 days ahead, not %', days USING ERRCODE = 'invalid_parameter_value';
    END IF;
    -- Another worker that is about it will have done it.
    IF NOT pg_try_advisory_xact_lock(hashtextextended('cgk_jobs.finished_runs', 0)) THEN
        RETURN 0;
    END IF;
    FOR ahead IN 0..days LOOP
        starts := today + ahead * length;
        day := 'finished_runs_' || to_char(to_timestamp(starts / 1000000) AT TIME ZONE 'UTC', 'YYYYMMDD');
        CONTINUE WHEN to_regclass('cgk_jobs.' || day) IS NOT NULL;
        BEGIN
            EXECUTE format('CREATE TABLE cgk_jobs.%I (LIKE cgk_jobs.finished_runs INCLUDING CONSTRAINTS)', day);
            EXECUTE format('ALTER TABLE cgk_jobs.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', day);
            EXECUTE (
                SELECT format('ALTER TABLE cgk_jobs.%I ', day) || string_agg(format('ALTER %I SET STATISTICS 0', a.attname), ', ')
                FROM pg_attribute a
                WHERE a.attrelid = 'cgk_jobs.finished_runs_other'::regclass AND a.attnum > 0 AND a.attstattarget = 0);
            -- Attached, not made as a partition: runs that end meanwhile need not wait.
            EXECUTE format('ALTER TABLE cgk_jobs.finished_runs ATTACH PARTITION cgk_jobs.%I FOR VALUES FROM (%s) TO (%s)',
                day, starts, starts + length);
            made := made + 1;
        EXCEPTION WHEN check_violation THEN
            CONTINUE;
        END;
    END LOOP;
    RETURN made;
END $$;

-- Drops the days that ended at or before this moment (microseconds); answers how many. Other rows of their runs (steps,
-- attempts, logs, tags) are the caller's to delete first.
CREATE FUNCTION cgk_jobs.drop_days(before bigint) RETURNS integer
LANGUAGE plpgsql VOLATILE SECURITY DEFINER
SET search_path = pg_catalog, cgk_jobs, pg_temp
SET lock_timeout = '2s'
AS $$
DECLARE
    day     text;
    dropped integer := 0;
BEGIN
    FOR day IN
        SELECT c.relname FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid
        WHERE i.inhparent = 'cgk_jobs.finished_runs'::regclass AND c.relname ~ '^finished_runs_[0-9]{8}$'
          AND extract(epoch FROM (to_date(right(c.relname, 8), 'YYYYMMDD') + 1)::timestamp) * 1000000 <= before
        ORDER BY c.relname
    LOOP
        EXECUTE format('DROP TABLE cgk_jobs.%I', day);
        dropped := dropped + 1;
    END LOOP;
    RETURN dropped;
END $$;

REVOKE ALL ON ALL FUNCTIONS IN SCHEMA cgk_jobs FROM PUBLIC;
GRANT EXECUTE ON FUNCTION cgk_jobs.bound_tenant() TO cgk_jobs_worker, cgk_jobs_tenant;
GRANT EXECUTE ON FUNCTION cgk_jobs.make_days(integer), cgk_jobs.drop_days(bigint) TO cgk_jobs_worker;

-- The owner: what bound_tenant() and migrations read and write. Nothing of a tenant; a migration that has to change tenants'
-- rows opens them for itself, in its own transaction.
CREATE POLICY owner_all ON cgk_jobs.tenant_key TO cgk_jobs_owner USING (true) WITH CHECK (true);
CREATE POLICY owner_all ON cgk_jobs.migrations TO cgk_jobs_owner USING (true) WITH CHECK (true);

-- The worker: every row.
GRANT SELECT ON cgk_jobs.tenant_key, cgk_jobs.migrations TO cgk_jobs_worker;
GRANT USAGE ON SEQUENCE cgk_jobs.numbers TO cgk_jobs_worker;
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN SELECT relname, relispartition FROM pg_class
        WHERE relnamespace = 'cgk_jobs'::regnamespace AND relkind IN ('r', 'p') ORDER BY relname
    LOOP
        EXECUTE format('ALTER TABLE cgk_jobs.%I ENABLE ROW LEVEL SECURITY, FORCE ROW LEVEL SECURITY', found.relname);
        CONTINUE WHEN found.relispartition;
        EXECUTE format('CREATE POLICY worker_all ON cgk_jobs.%I TO cgk_jobs_worker USING (true) WITH CHECK (true)', found.relname);
        CONTINUE WHEN found.relname IN ('migrations', 'tenant_key');
        EXECUTE format('GRANT SELECT, INSERT, UPDATE, DELETE ON cgk_jobs.%I TO cgk_jobs_worker', found.relname);
    END LOOP;
END $$;

-- A tenant reads its own rows. The binding is looked up once for a statement, not once for a row; NULL and '' match nothing.
GRANT SELECT ON cgk_jobs.runs, cgk_jobs.finished_runs, cgk_jobs.run_tags, cgk_jobs.steps, cgk_jobs.attempts, cgk_jobs.run_logs,
    cgk_jobs.unrouted_events, cgk_jobs.idempotency_keys TO cgk_jobs_tenant;
CREATE POLICY tenant_reads ON cgk_jobs.runs FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.finished_runs FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.run_tags FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.steps FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.attempts FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.run_logs FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.unrouted_events FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_reads ON cgk_jobs.idempotency_keys FOR SELECT TO cgk_jobs_tenant
    USING (tenant_id = (SELECT cgk_jobs.bound_tenant()));

-- It sends, in its own transaction. What it writes can only become ready: the engine gives the place in the fair order, so
-- nothing here can be ahead of others, be held by a worker, or stand in a queue its task does not use.
GRANT INSERT ON cgk_jobs.runs, cgk_jobs.run_tags, cgk_jobs.unrouted_events, cgk_jobs.idempotency_keys TO cgk_jobs_tenant;
GRANT USAGE ON SEQUENCE cgk_jobs.numbers TO cgk_jobs_tenant;
CREATE POLICY tenant_sends ON cgk_jobs.runs FOR INSERT TO cgk_jobs_tenant WITH CHECK (
    tenant_id = (SELECT cgk_jobs.bound_tenant())
    AND state = 'scheduled' AND due_at IS NOT NULL AND claim = 0 AND attempt = 1 AND vstart = 0 AND moved_for = 0
    AND worker IS NULL AND started_at IS NULL AND tick_at IS NULL AND held_by IS NULL AND slots IS NULL AND NOT cancel_asked
    AND error IS NULL AND progress IS NULL
    AND EXISTS (SELECT FROM cgk_jobs.subscriptions s WHERE s.task = runs.task AND s.queue = runs.queue AND s.rank = runs.rank));
CREATE POLICY tenant_sends ON cgk_jobs.run_tags FOR INSERT TO cgk_jobs_tenant
    WITH CHECK (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_sends ON cgk_jobs.unrouted_events FOR INSERT TO cgk_jobs_tenant
    WITH CHECK (tenant_id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_sends ON cgk_jobs.idempotency_keys FOR INSERT TO cgk_jobs_tenant
    WITH CHECK (tenant_id = (SELECT cgk_jobs.bound_tenant()));

-- Its own row among the tenants, if that is missing: seen, not added, and with no setting of its own.
GRANT SELECT (id), INSERT (id, created_at, added) ON cgk_jobs.tenants TO cgk_jobs_tenant;
CREATE POLICY tenant_reads ON cgk_jobs.tenants FOR SELECT TO cgk_jobs_tenant USING (id = (SELECT cgk_jobs.bound_tenant()));
CREATE POLICY tenant_sends ON cgk_jobs.tenants FOR INSERT TO cgk_jobs_tenant
    WITH CHECK (id = (SELECT cgk_jobs.bound_tenant()) AND NOT added);

-- What a send has to know of the application, which is the same for every tenant.
GRANT SELECT ON cgk_jobs.subscriptions, cgk_jobs.configuration TO cgk_jobs_tenant;
CREATE POLICY tenant_reads ON cgk_jobs.subscriptions FOR SELECT TO cgk_jobs_tenant USING (true);
CREATE POLICY tenant_reads ON cgk_jobs.configuration FOR SELECT TO cgk_jobs_tenant USING (true);

-- Statistics are samples of all tenants' rows: EXPLAIN would answer from them, and a tenant that was erased would live on in
-- them. No column with a tenant's name or words has any; the statements go by keys and need none.
DO $$
DECLARE
    found record;
BEGIN
    FOR found IN
        SELECT c.relname, string_agg(format('ALTER %I SET STATISTICS 0', a.attname), ', ') AS changes
        FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attnum > 0
        WHERE c.relnamespace = 'cgk_jobs'::regnamespace AND c.relkind IN ('r', 'p') AND a.attname IN ('tenant_id', 'payload',
            'result', 'error', 'progress', 'message', 'key', 'tag', 'tags', 'held_by', 'slots', 'run_seqs')
          AND c.relname NOT IN ('subscriptions')
        GROUP BY c.relname
    LOOP
        EXECUTE format('ALTER TABLE cgk_jobs.%I %s', found.relname, found.changes);
    END LOOP;
END $$;
