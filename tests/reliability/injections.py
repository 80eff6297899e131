"""SQL an attacker gets to run inside the handler of one tenant, bound as that tenant. What it is after stands in rows of the
tenant ``victim``: the word SECRET, and any change of them.

``{token}`` is the attacker's own valid token, ``{stolen}`` a valid token of the victim's, taken out of another transaction.
"""

from __future__ import annotations

OUTSIDE = "-- outside\n"
"""Begins a script that is run after a commit, outside a transaction."""

READING = {
    "plain": "SELECT * FROM cgk_jobs.runs",
    "or true": "SELECT payload FROM cgk_jobs.runs WHERE tenant_id = 'attacker' OR 1=1 --'",
    "union": "SELECT payload FROM cgk_jobs.runs UNION ALL SELECT payload FROM cgk_jobs.finished_runs",
    "other tenant": "SELECT * FROM cgk_jobs.runs WHERE tenant_id = 'victim'",
    "every table": "SELECT * FROM cgk_jobs.steps; SELECT * FROM cgk_jobs.attempts; SELECT * FROM cgk_jobs.run_logs; "
    "SELECT * FROM cgk_jobs.run_tags; SELECT * FROM cgk_jobs.unrouted_events; SELECT * FROM cgk_jobs.idempotency_keys",
    "TABLE": "TABLE cgk_jobs.finished_runs",
    "partition": "SELECT * FROM cgk_jobs.finished_runs_other",
    "engine's tables": "SELECT * FROM cgk_jobs.jumps",
    "tenants": "SELECT * FROM cgk_jobs.tenants",
    "tenant names": "SELECT id FROM cgk_jobs.tenants",
    "limits": "SELECT key FROM cgk_jobs.limits",
    "for update": "SELECT payload FROM cgk_jobs.runs FOR UPDATE",
    "for share": "SELECT payload FROM cgk_jobs.runs FOR KEY SHARE SKIP LOCKED",
    "whole row": "SELECT row_to_json(r), r::text FROM cgk_jobs.runs r",
    "xml": "SELECT query_to_xml('SELECT * FROM cgk_jobs.runs', true, false, '')",
    "schema to xml": "SELECT schema_to_xml('cgk_jobs', true, false, '')",
    "copy": "COPY (SELECT payload FROM cgk_jobs.runs) TO STDOUT",
    "copy table": "COPY cgk_jobs.runs TO STDOUT",
    "copy file": "COPY cgk_jobs.runs TO '/tmp/cgk_jobs_runs.txt'",
    "copy program": "COPY cgk_jobs.runs TO PROGRAM 'cat'",
    "ctid": "SELECT payload FROM cgk_jobs.runs WHERE ctid = '(0,1)' OR ctid = '(0,2)' OR ctid >= '(0,0)'",
    "system sample": "SELECT payload FROM cgk_jobs.runs TABLESAMPLE SYSTEM (100)",
    "aggregate": "SELECT string_agg(payload, ' ') FROM cgk_jobs.runs",
    "lateral": "SELECT x.payload FROM (VALUES (1)) v, LATERAL (SELECT payload FROM cgk_jobs.runs) x",
    "recursive": "WITH RECURSIVE r AS (SELECT payload FROM cgk_jobs.runs UNION SELECT payload FROM r) SELECT * FROM r",
    "cursor": "DECLARE c NO SCROLL CURSOR WITH HOLD FOR SELECT payload FROM cgk_jobs.runs; FETCH ALL FROM c",
    "prepared": "PREPARE p AS SELECT payload FROM cgk_jobs.runs; EXECUTE p; DEALLOCATE p",
    "do block": "DO $$ DECLARE r record; BEGIN FOR r IN SELECT payload FROM cgk_jobs.runs LOOP RAISE NOTICE '%', r.payload; END LOOP; END $$",
    "execute in do": "DO $$ DECLARE p text; BEGIN EXECUTE 'SELECT string_agg(payload, '' '') FROM cgk_jobs.runs' INTO p; RAISE NOTICE '%', p; END $$",
    "statistics": "SELECT most_common_vals, histogram_bounds FROM pg_stats WHERE schemaname = 'cgk_jobs'",
    "raw statistics": "SELECT * FROM pg_statistic",
    "activity": "SELECT query FROM pg_stat_activity",
    "server file": "SELECT pg_read_file('postgresql.conf')",
    "directory": "SELECT pg_ls_dir('.')",
    "large object": "SELECT lo_import('/etc/hostname')",
    "page": "SELECT get_raw_page('cgk_jobs.runs', 0)",
    "dblink": "SELECT * FROM dblink('dbname=' || current_database(), 'SELECT payload FROM cgk_jobs.runs') AS t (p text)",
    "extension": "CREATE EXTENSION dblink",
    "foreign server": "CREATE EXTENSION postgres_fdw; CREATE SERVER s FOREIGN DATA WRAPPER postgres_fdw",
    "key": "SELECT * FROM cgk_jobs.tenant_key",
    "migrations": "SELECT * FROM cgk_jobs.migrations",
    "password": "SELECT rolpassword FROM pg_authid",
}
"""Ways to read, as the attacker is bound."""

BECOMING = {
    "token of another": "SELECT set_config('cgk_jobs.token', 'victim:{signature}', true)",
    "token without signature": "SELECT set_config('cgk_jobs.token', 'victim', true)",
    "token with empty signature": "SELECT set_config('cgk_jobs.token', 'victim:', true)",
    "empty token": "SELECT set_config('cgk_jobs.token', '', true)",
    "token NULL": "SELECT set_config('cgk_jobs.token', NULL, true)",
    "colons": "SELECT set_config('cgk_jobs.token', ':', true)",
    "two tenants": "SELECT set_config('cgk_jobs.token', 'victim:{token}', true)",
    "wildcard": "SELECT set_config('cgk_jobs.token', '%:%', true)",
    "garbage": "SELECT set_config('cgk_jobs.token', E'victim:\\\\x00\\u0001 OR 1=1', true)",
    "stolen token": "SELECT set_config('cgk_jobs.token', '{stolen}', true)",
    "stolen token for the session": "SELECT set_config('cgk_jobs.token', '{stolen}', false)",
    "set local": "SET LOCAL cgk_jobs.token = '{stolen}'",
    "set session": "SET SESSION cgk_jobs.token = '{stolen}'",
    "set, commit, look": "SET SESSION cgk_jobs.token = '{token}'; COMMIT; BEGIN",
    "chained": "COMMIT AND CHAIN; SET LOCAL cgk_jobs.token = '{token}'",
    "role setting": "ALTER ROLE CURRENT_USER SET cgk_jobs.token = '{stolen}'",
    "savepoint": "SAVEPOINT a; SET LOCAL cgk_jobs.token = '{stolen}'; RELEASE a",
    "savepoint back": "SAVEPOINT a; SET LOCAL cgk_jobs.token = '{stolen}'; ROLLBACK TO a",
    "role worker": "SET ROLE {prefix}_worker",
    "role owner": "SET ROLE {prefix}_owner",
    "role of the worker's login": "SET ROLE {prefix}_worker_login",
    "role none": "SET ROLE NONE",
    "role postgres": "SET ROLE postgres",
    "local role": "SET LOCAL ROLE {prefix}_worker",
    "role by set_config": "SELECT set_config('role', '{prefix}_worker', true)",
    "reset role": "RESET ROLE",
    "session authorization": "SET SESSION AUTHORIZATION {prefix}_worker_login",
    "default authorization": "RESET SESSION AUTHORIZATION",
    "grant": "GRANT {prefix}_worker TO CURRENT_USER",
    "grant select": "GRANT SELECT ON ALL TABLES IN SCHEMA cgk_jobs TO PUBLIC",
    "bypass": "ALTER ROLE CURRENT_USER BYPASSRLS",
    "row_security": "SET row_security = off",
    "reset": "RESET cgk_jobs.token",
    "reset all": "RESET ALL",
    "discard all": OUTSIDE + "DISCARD ALL",
    "reset outside": OUTSIDE + "RESET SESSION AUTHORIZATION; RESET ALL",
    "replica": "SET session_replication_role = replica",
    "disable": "ALTER TABLE cgk_jobs.runs DISABLE ROW LEVEL SECURITY",
    "no force": "ALTER TABLE cgk_jobs.runs NO FORCE ROW LEVEL SECURITY",
    "policy": "CREATE POLICY mine ON cgk_jobs.runs USING (true)",
    "drop policy": "DROP POLICY tenant_reads ON cgk_jobs.runs",
    "own function": "CREATE OR REPLACE FUNCTION cgk_jobs.bound_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'victim' $$",
    "temporary function": "CREATE FUNCTION pg_temp.bound_tenant() RETURNS text LANGUAGE sql AS $$ SELECT 'victim' $$; "
    "SET search_path = pg_temp, cgk_jobs",
    "shadowed hash": "CREATE FUNCTION pg_temp.sha256(bytea) RETURNS bytea LANGUAGE sql AS $$ SELECT ''::bytea $$; "
    "SET search_path = pg_temp, pg_catalog; SET LOCAL cgk_jobs.token = 'victim:00'; SELECT cgk_jobs.bound_tenant()",
    "shadowed clock": "CREATE FUNCTION pg_temp.now() RETURNS timestamptz LANGUAGE sql AS $$ SELECT to_timestamp(0) $$; "
    "CREATE FUNCTION pg_temp.pg_backend_pid() RETURNS integer LANGUAGE sql AS $$ SELECT 1 $$; "
    "SET search_path = pg_temp, pg_catalog; SET LOCAL cgk_jobs.token = '{stolen}'; SELECT cgk_jobs.bound_tenant()",
    "shadowed key": "CREATE TEMP TABLE tenant_key AS SELECT repeat('0', 64)::bytea AS inner_key, repeat('0', 64)::bytea AS outer_key; "
    "SET search_path = pg_temp, cgk_jobs, pg_catalog; SET LOCAL cgk_jobs.token = 'victim:00'; SELECT cgk_jobs.bound_tenant()",
    "shadowed catalogue": "CREATE TEMP TABLE pg_database AS SELECT 0::oid AS oid, current_database() AS datname; "
    "SET search_path = pg_temp, pg_catalog; SET LOCAL cgk_jobs.token = '{stolen}'",
    "function with the setting": "CREATE FUNCTION pg_temp.f() RETURNS SETOF cgk_jobs.runs LANGUAGE sql SECURITY DEFINER "
    "SET cgk_jobs.token = '{stolen}' AS $$ SELECT * FROM cgk_jobs.runs $$; SELECT * FROM pg_temp.f()",
    "own setting in a query": "SELECT r.payload FROM (SELECT set_config('cgk_jobs.token', '{stolen}', true) OFFSET 0) s, cgk_jobs.runs r",
    "isolation": "COMMIT; BEGIN ISOLATION LEVEL SERIALIZABLE; SET LOCAL cgk_jobs.token = '{token}'",
    "imported snapshot": "SELECT pg_export_snapshot()",
    "two-phase": "PREPARE TRANSACTION 'x'",
    "parallel": "SET max_parallel_workers_per_gather = 4; SET parallel_setup_cost = 0; SET parallel_tuple_cost = 0; "
    "SET min_parallel_table_scan_size = 0; SET LOCAL cgk_jobs.token = '{stolen}'",
}
"""Ways to be taken for somebody else; afterwards every table is read."""

LEAKING = {
    "division": "SELECT 1 / (CASE WHEN payload LIKE '%SECRET%' THEN 0 ELSE 1 END) FROM cgk_jobs.runs",
    "cast": "SELECT payload::integer FROM cgk_jobs.runs WHERE tenant_id = 'victim'",
    "leaky function": "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
    "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$; SELECT count(*) FROM cgk_jobs.runs WHERE pg_temp.leak(payload)",
    "leakproof": "CREATE FUNCTION pg_temp.leak(text) RETURNS boolean LANGUAGE plpgsql LEAKPROOF AS "
    "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$",
    "leaky operator": "CREATE FUNCTION pg_temp.leak(text, text) RETURNS boolean LANGUAGE plpgsql COST 0.0000001 AS "
    "$$ BEGIN RAISE NOTICE '%', $1; RETURN true; END $$; CREATE OPERATOR pg_temp.<<< (LEFTARG = text, RIGHTARG = text, "
    "FUNCTION = pg_temp.leak); SELECT count(*) FROM cgk_jobs.runs WHERE payload OPERATOR(pg_temp.<<<) 'x'",
    "leaky order": "SELECT 1 FROM cgk_jobs.runs ORDER BY 1 / (length(payload) - length(payload))",
    "regular expression": "SELECT count(*) FROM cgk_jobs.runs WHERE payload ~ ('[' || payload)",
    "view": "CREATE TEMP VIEW v AS SELECT payload FROM cgk_jobs.runs; SELECT * FROM v",
    "materialized": "CREATE TEMP TABLE t AS SELECT payload FROM cgk_jobs.runs; SELECT * FROM t",
    "view beside": "CREATE VIEW cgk_jobs.v AS SELECT * FROM cgk_jobs.runs",
    "rule": "CREATE RULE r AS ON INSERT TO cgk_jobs.runs DO ALSO NOTIFY x",
    "trigger": "CREATE FUNCTION pg_temp.t() RETURNS trigger LANGUAGE plpgsql AS $$ BEGIN RAISE NOTICE '%', NEW; RETURN NEW; END $$; "
    "CREATE TRIGGER t BEFORE INSERT ON cgk_jobs.runs FOR EACH ROW EXECUTE FUNCTION pg_temp.t()",
    "foreign key": "CREATE TEMP TABLE f (t text, s bigint, FOREIGN KEY (t, s) REFERENCES cgk_jobs.runs (tenant_id, seq))",
    "inheritance": "CREATE TEMP TABLE child () INHERITS (cgk_jobs.runs)",
    "partition of": "CREATE TEMP TABLE child PARTITION OF cgk_jobs.finished_runs FOR VALUES FROM (1) TO (2)",
    "analyze": "ANALYZE VERBOSE cgk_jobs.runs",
    "vacuum": OUTSIDE + "VACUUM FULL cgk_jobs.runs",
    "explain analyze": "EXPLAIN (ANALYZE, VERBOSE) SELECT payload FROM cgk_jobs.runs WHERE tenant_id = 'victim'",
    "listen": "LISTEN cgk_jobs; LISTEN runs; NOTIFY cgk_jobs, 'x'",
    "locks": "SELECT pg_advisory_lock(1); SELECT * FROM pg_locks",
    "lock table": "LOCK TABLE cgk_jobs.runs IN ACCESS EXCLUSIVE MODE NOWAIT",
}
"""Ways to have rows shown by what is not a query, or by a query's side effects."""

WRITING = {
    "update": "UPDATE cgk_jobs.runs SET payload = 'x'",
    "update other": "UPDATE cgk_jobs.runs SET state = 'queued' WHERE tenant_id = 'victim'",
    "move to other": "UPDATE cgk_jobs.runs SET tenant_id = 'victim'",
    "delete": "DELETE FROM cgk_jobs.runs",
    "delete with returning": "WITH d AS (DELETE FROM cgk_jobs.finished_runs RETURNING *) SELECT * FROM d",
    "delete journal": "DELETE FROM cgk_jobs.steps",
    "truncate": "TRUNCATE cgk_jobs.runs",
    "truncate cascade": "TRUNCATE cgk_jobs.steps, cgk_jobs.attempts CASCADE",
    "drop": "DROP TABLE cgk_jobs.runs",
    "drop schema": "DROP SCHEMA cgk_jobs CASCADE",
    "merge": "MERGE INTO cgk_jobs.runs r USING (SELECT 1) s ON r.tenant_id = 'victim' WHEN MATCHED THEN DELETE",
    "insert for other": "INSERT INTO cgk_jobs.unrouted_events VALUES (99, 1, 1, 1, 'victim', 'x', 'forged')",
    "insert tag for other": "INSERT INTO cgk_jobs.run_tags VALUES (1, 'victim', 'forged')",
    "insert run for other": "INSERT INTO cgk_jobs.runs (seq, nonce, event_seq, due_at, created_at, event_version, tenant_id, task, "
    "queue, state, event_name, payload) VALUES (99, 1, 1, 1, 1, 1, 'victim', 'sync', 'default', 'scheduled', 'x', 'forged')",
    "insert from select": "INSERT INTO cgk_jobs.runs SELECT * FROM cgk_jobs.runs WHERE tenant_id = 'victim'",
    "take over a key": "INSERT INTO cgk_jobs.idempotency_keys VALUES (1, 1, 9, 'victim', 'x', 'k', 'forged', '{}') "
    "ON CONFLICT (tenant_id, event, key) DO UPDATE SET payload = 'forged'",
    "probe a key": "INSERT INTO cgk_jobs.idempotency_keys VALUES (1, 1, 9, 'victim', 'x', 'k', 'forged', '{}') "
    "ON CONFLICT (tenant_id, event, key) DO NOTHING RETURNING key",
    "make another tenant": "INSERT INTO cgk_jobs.tenants (id, created_at, added) VALUES ('other', 1, false)",
    "insert into a partition": "INSERT INTO cgk_jobs.finished_runs_other SELECT * FROM cgk_jobs.finished_runs",
    "copy in": "COPY cgk_jobs.run_logs FROM '/etc/hostname'",
    "reset the numbers": "SELECT setval('cgk_jobs.numbers', 1)",
    "restart the numbers": "ALTER SEQUENCE cgk_jobs.numbers RESTART",
    "write the key": "UPDATE cgk_jobs.tenant_key SET inner_key = repeat('0', 64)::bytea",
    "drop days": "SELECT cgk_jobs.drop_days(9223372036854775807)",
    "make days": "SELECT cgk_jobs.make_days(3)",
    "configuration": "UPDATE cgk_jobs.configuration SET version = version + 1",
    "subscription": "UPDATE cgk_jobs.subscriptions SET queue = 'mine'",
    "stop the workers": "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE usename <> current_user",
}
"""Ways to change what is not the attacker's."""

ALL = {
    f"{kind}: {name}": script
    for kind, scripts in (("read", READING), ("become", BECOMING), ("leak", LEAKING), ("write", WRITING))
    for name, script in scripts.items()
}
