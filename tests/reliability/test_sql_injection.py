"""S34: SQL that an attacker gets to run in the handler of one tenant reads and writes nothing of another."""

from __future__ import annotations

from collections.abc import Iterator

import psycopg
import pytest
from tests.reliability.injections import ALL, BECOMING
from tests.reliability.walled_worlds import SECRET, TABLES, Session, World
from tests.servers.ledgers import Ledgers

from cgk_jobs.errors import NotConfigured, ProviderUnavailable, TenantMismatch


@pytest.fixture(scope="module")
def world(postgres_ledgers: Ledgers) -> Iterator[World]:
    database = postgres_ledgers.fresh()
    yield World(database)
    postgres_ledgers.drop(database)


@pytest.fixture(scope="module")
def stolen(world: World) -> str:
    """A token of the victim's, valid in the transaction it was made for."""
    with world.session() as session:
        return session.bind("victim")


def script_of(world: World, script: str, token: str, stolen: str) -> str:
    for name, value in (
        ("{token}", token), ("{stolen}", stolen), ("{signature}", token.partition(":")[2]), ("{prefix}", world.prefix),
    ):  # fmt: skip
        script = script.replace(name, value)
    return script


def test_there_are_enough() -> None:
    assert len(ALL) >= 60


@pytest.mark.parametrize("name", ALL)
def test_an_injection_reaches_no_other_tenant(name: str, world: World, stolen: str) -> None:
    before = world.rows()
    with world.session() as session:
        token = session.bind("attacker")
        session.run(script_of(world, ALL[name], token, stolen))
        session.look_everywhere()
        # The framework goes on with the connection, as a pool would.
        session.connection.rollback()
        session.look_everywhere()
        session.connection.rollback()
        session.run("SELECT * FROM cgk_jobs.runs")
    assert SECRET not in " ".join(session.heard)
    after = world.rows()
    assert after == before


def test_the_attacker_sees_its_own_rows(world: World) -> None:
    with world.session() as session:
        session.bind("attacker")
        session.look_everywhere()
    assert sum("own-" in heard for heard in session.heard) == 3 * 8 + 1  # the key 'k' is one more


def test_without_a_binding_nothing_is_seen_or_written(world: World) -> None:
    with world.session() as session:
        for setting in ("", "RESET cgk_jobs.token", "SET cgk_jobs.token = ''", "SET cgk_jobs.token = 'attacker'"):
            session.run(setting or "SELECT 1 WHERE false")
            session.look_everywhere()
            session.run("INSERT INTO cgk_jobs.run_tags VALUES (50, 'attacker', 'unbound')")
            session.connection.rollback()
    heard = " ".join(session.heard)
    assert SECRET not in heard
    assert "own-" not in heard
    assert heard.count("new row violates row-level security policy") == 4


# --- tokens ------------------------------------------------------------------------------------------------------------


def test_a_token_ends_with_its_transaction(world: World) -> None:
    with world.session() as session:
        token = session.bind("victim")
        session.run("SELECT payload FROM cgk_jobs.runs LIMIT 1")
        assert SECRET in session.heard[-1]
        session.connection.commit()
        for _ in range(2):
            session.run(f"SET LOCAL cgk_jobs.token = '{token}'")
            session.run("SELECT count(*) FROM cgk_jobs.runs")
            assert session.heard[-1] == "(0,)"
            session.connection.rollback()
        session.run("COMMIT; BEGIN")
        session.bind("attacker")
        session.run(f"SAVEPOINT a; SET LOCAL cgk_jobs.token = '{token}'; SELECT count(*) FROM cgk_jobs.runs")
        assert session.heard[-1] == "(0,)"


def test_a_token_opens_nothing_in_another_session_or_database(world: World, postgres_ledgers: Ledgers) -> None:
    other = postgres_ledgers.fresh()
    with world.session() as bound, world.session() as session:
        token = bound.bind("victim")
        session.run(f"SET LOCAL cgk_jobs.token = '{token}'; SELECT cgk_jobs.bound_tenant()")
        assert session.heard == ["(None,)"]
        with psycopg.connect(other.tenant_url) as elsewhere:
            copied = Session(elsewhere, world.tokens)
            # A copy of a database has its key: what is signed names the database too.
            copied.run(f"SET LOCAL cgk_jobs.token = '{token}'; SELECT cgk_jobs.bound_tenant()")
            assert copied.heard == ["(None,)"]
    postgres_ledgers.drop(other)


def test_a_transaction_has_one_tenant(world: World) -> None:
    with world.session() as session:
        session.bind("attacker")
        session.bind("attacker")
        with pytest.raises(TenantMismatch, match="one tenant"):
            session.bind("victim")


def test_a_false_token_left_in_a_session_is_no_hindrance(world: World) -> None:
    with world.session() as session:
        session.bind("attacker")
        session.run("SET SESSION cgk_jobs.token = 'victim:0'")
        session.connection.commit()
        session.bind("attacker")


def test_a_binding_survives_savepoints(world: World) -> None:
    with world.session() as session:
        session.run("SAVEPOINT a")
        session.bind("attacker")
        session.run("SAVEPOINT b; SELECT 1/0")
        session.run("ROLLBACK TO b; SELECT cgk_jobs.bound_tenant()")
        assert session.heard[-1] == "('attacker',)"


def test_binding_without_a_transaction_is_refused(world: World) -> None:
    with world.session() as session:
        session.connection.autocommit = True
        with pytest.raises(ProviderUnavailable, match="begin a transaction first"):
            session.bind("attacker")


@pytest.mark.parametrize("which", ["admin_url", "worker_url"])
def test_a_login_that_sees_everything_is_not_bound(which: str, world: World) -> None:
    with (
        psycopg.connect(getattr(world.database, which)) as connection,
        pytest.raises(NotConfigured, match="JOBS_TENANT_DATABASE_URL"),
    ):
        Session(connection, world.tokens).bind("attacker")


# --- traps left in a pooled session for the tenant that comes next -----------------------------------------------------

TRAPS = {
    "a prepared statement": "PREPARE orders AS SELECT string_agg(payload, ' ') FROM cgk_jobs.runs",
    "a temporary table": "CREATE TEMP TABLE orders (id integer)",
    "a temporary view": "CREATE TEMP VIEW orders AS SELECT * FROM cgk_jobs.runs",
    "a trigger": "CREATE TEMP TABLE orders (id integer); CREATE FUNCTION pg_temp.take() RETURNS trigger LANGUAGE plpgsql AS "
    "$$ BEGIN PERFORM pg_notify('loot', (SELECT max(payload) FROM cgk_jobs.runs)); RETURN NEW; END $$; "
    "CREATE TRIGGER take BEFORE INSERT ON orders FOR EACH ROW EXECUTE FUNCTION pg_temp.take()",
    "a temporary function": "CREATE FUNCTION pg_temp.take() RETURNS integer LANGUAGE sql AS 'SELECT 1'",
}


@pytest.mark.parametrize("name", TRAPS)
def test_a_session_with_a_trap_takes_no_tenant(name: str, world: World) -> None:
    with world.session() as session:
        session.bind("attacker")
        session.run(TRAPS[name])
        session.connection.commit()
        with pytest.raises(ProviderUnavailable, match="DISCARD ALL"):
            session.bind("victim")
        session.connection.rollback()
        session.connection.autocommit = True
        session.run("DISCARD ALL")
        session.connection.autocommit = False
        session.bind("victim")


def test_the_trap_would_have_worked(world: World) -> None:
    """Control: bound without looking at the session, the victim's own statement hands its rows over."""
    with world.session() as session, world.session() as accomplice:
        accomplice.run("LISTEN loot")
        accomplice.connection.commit()
        session.bind("attacker")
        session.run(TRAPS["a trigger"])
        session.connection.commit()
        pid, started, database = session.connection.execute(
            "SELECT pg_backend_pid(), (extract(epoch FROM now()) * 1000000)::bigint, "
            "(SELECT oid::bigint FROM pg_database WHERE datname = current_database())"
        ).fetchall()[0]
        token = world.tokens.answer("victim", (pid, started, database, None, False, False, "pg_catalog", False))
        session.run(f"SET LOCAL cgk_jobs.token = '{token}'; INSERT INTO orders VALUES (1)")
        session.connection.commit()
        accomplice.run("SELECT 1")
        accomplice.connection.commit()
    assert SECRET in " ".join(accomplice.heard)


def test_functions_made_to_answer_for_the_server_are_not_asked(world: World) -> None:
    """What is signed must come from the server itself, or the attacker has another session's binding signed."""
    with psycopg.connect(world.database.admin_url, autocommit=True) as admin:
        admin.execute(
            "CREATE SCHEMA shop; CREATE FUNCTION shop.pg_backend_pid() RETURNS integer LANGUAGE sql AS 'SELECT 1'"
        )
        admin.execute("CREATE FUNCTION shop.now() RETURNS timestamptz LANGUAGE sql AS 'SELECT to_timestamp(0)'")
        admin.execute("GRANT USAGE ON SCHEMA shop TO PUBLIC")
    with world.session() as session:
        session.run("SET search_path = shop, pg_catalog; SELECT pg_backend_pid()")
        assert session.heard == ["(1,)"]
        with pytest.raises(NotConfigured, match="search_path has shop before pg_catalog"):
            session.bind("victim")
        session.run("SET search_path = shop")
        session.bind("victim")


# --- controls: these tests can see a broken wall -----------------------------------------------------------------------


def test_a_worker_sees_the_secrets(world: World) -> None:
    with psycopg.connect(world.database.worker_url) as connection:
        session = Session(connection, world.tokens)
        session.look_everywhere()
    assert SECRET in " ".join(session.heard)


def test_a_plain_setting_would_not_hold(postgres_ledgers: Ledgers) -> None:
    """With the tenant in a setting, which is what row security is usually built on, the same scripts read the victim's rows."""
    database = postgres_ledgers.fresh()
    world = World(database)
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(
            "ALTER POLICY tenant_reads ON cgk_jobs.runs USING (tenant_id = split_part(current_setting('cgk_jobs.token', true), ':', 1))"
        )
    broken = set()
    for name, script in BECOMING.items():
        with world.session() as session:
            token = session.bind("attacker")
            session.run(script_of(world, script, token, "victim:0"))
            session.look_everywhere()
        if SECRET in " ".join(session.heard):
            broken.add(name)
    postgres_ledgers.drop(database)
    assert broken >= {"token of another", "token without signature", "set local", "set session", "savepoint"}


@pytest.mark.parametrize(
    ("change", "name"),
    [
        ("ALTER TABLE cgk_jobs.runs DISABLE ROW LEVEL SECURITY", "read: plain"),
        ("CREATE POLICY open ON cgk_jobs.steps USING (true)", "read: every table"),
        ("GRANT SELECT ON cgk_jobs.finished_runs_other TO {tenant}; ALTER TABLE cgk_jobs.finished_runs_other DISABLE ROW LEVEL SECURITY", "read: partition"),
        ("GRANT TRUNCATE ON cgk_jobs.runs TO {tenant}", "write: truncate"),
        ("GRANT {worker} TO {tenant}", "become: role worker"),
    ],
)  # fmt: skip
def test_a_hole_is_seen(change: str, name: str, postgres_ledgers: Ledgers) -> None:
    database = postgres_ledgers.fresh()
    world = World(database)
    names = {"{tenant}": f"{world.prefix}_tenant", "{worker}": f"{world.prefix}_worker"}
    for mark, role in names.items():
        change = change.replace(mark, role)
    before = world.rows()
    with psycopg.connect(database.admin_url, autocommit=True) as admin:
        admin.execute(change.encode())
        try:
            with world.session() as session:
                # The binding would refuse some of these on its own.
                token = session.bind("attacker", allow_unsafe=True)
                session.run(script_of(world, ALL[name], token, token))
                session.look_everywhere()
                session.connection.commit()
        finally:
            # Memberships are the whole server's.
            admin.execute(f"REVOKE {names['{worker}']} FROM {names['{tenant}']}".encode())
    assert SECRET in " ".join(session.heard) or world.rows() != before
    postgres_ledgers.drop(database)


def test_every_table_with_tenants_is_looked_at(world: World) -> None:
    with psycopg.connect(world.database.admin_url) as connection:
        rows = connection.execute(
            "SELECT c.relname::text FROM pg_class c JOIN pg_attribute a ON a.attrelid = c.oid AND a.attname = 'tenant_id' "
            "WHERE c.relnamespace = 'cgk_jobs'::regnamespace AND c.relkind IN ('r', 'p') AND NOT c.relispartition"
        )
        found = {row[0] for row in rows}
    # Clocks and starts are numbers: no word of a tenant is in them.
    assert found - {"tenant_clocks", "rate_starts"} <= set(TABLES)
