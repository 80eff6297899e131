"""The PostgreSQL ledger's schema: made, upgraded, applied again, in one piece or not at all, by however many appliers at once."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from dataclasses import replace
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql
from tests.migrations.catalogue_dump import dump
from tests.servers.postgres import PostgresServer

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres import migrate
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.migrate import MIGRATIONS, SCHEMA_VERSION, Migration, apply, check_schema, render, status
from cgk_jobs.engine.postgres.roles import Roles
from cgk_jobs.errors import NotConfigured, ProviderUnavailable

PREFIX = "cgk_jobs_migrated"
ROLES = Roles(PREFIX)
ALL = [migration.version for migration in MIGRATIONS]


@pytest.fixture
def empty(postgres_server: PostgresServer) -> Iterator[str]:
    """The administrator's address of an empty database."""
    name = postgres_server.empty_database()
    yield postgres_server.address(name)
    postgres_server.drop(name)


@pytest.fixture(scope="module")
def fresh(postgres_server: PostgresServer) -> Iterator[list[str]]:
    """What a ledger made in one go consists of."""
    name = postgres_server.empty_database()
    asyncio.run(apply(postgres_server.address(name), roles=ROLES))
    yield dump(postgres_server.address(name))
    postgres_server.drop(name)


def test_the_files_are_numbered_without_a_gap() -> None:
    assert list(range(1, SCHEMA_VERSION + 1)) == ALL


async def test_a_second_apply_does_nothing(empty: str, fresh: list[str]) -> None:
    assert await apply(empty, roles=ROLES) == ALL
    assert dump(empty) == fresh
    assert await apply(empty, roles=ROLES) == []
    assert dump(empty) == fresh
    assert await status(empty) == migrate.Status(SCHEMA_VERSION, SCHEMA_VERSION, ())


@pytest.mark.parametrize("version", ALL[:-1])
async def test_an_upgraded_ledger_is_like_a_fresh_one_and_keeps_its_rows(
    version: int, empty: str, fresh: list[str]
) -> None:
    assert await apply(empty, roles=ROLES, upto=version) == ALL[:version]
    with psycopg.connect(empty) as connection:
        connection.execute(
            "INSERT INTO cgk_jobs.unrouted_events (seq, nonce, created_at, version, tenant_id, name, payload) "
            "VALUES (1, 1, 1, 1, 'acme', 'x', '{}')"
        )
    (problem,) = (await status(empty)).problems
    assert "cgk jobs schema apply" in problem
    assert await apply(empty, roles=ROLES) == ALL[version:]
    assert dump(empty) == fresh
    with psycopg.connect(empty) as connection:
        assert connection.execute("SELECT seq FROM cgk_jobs.unrouted_events").fetchall() == [(1,)]


async def test_one_step_at_a_time_leads_to_the_same(empty: str, fresh: list[str]) -> None:
    for version in ALL:
        assert await apply(empty, roles=ROLES, upto=version) == [version]
    assert dump(empty) == fresh


async def test_the_printed_sql_leads_to_the_same(empty: str, fresh: list[str]) -> None:
    with psycopg.connect(empty, autocommit=True) as connection:
        connection.execute(render(ROLES).encode())
    assert dump(empty) == fresh
    assert await apply(empty, roles=ROLES) == []


async def test_appliers_at_the_same_moment_share_the_work(empty: str, fresh: list[str]) -> None:
    done = await asyncio.gather(*(apply(empty, roles=ROLES) for _ in range(4)))
    assert sorted(version for versions in done for version in versions) == ALL
    assert dump(empty) == fresh


async def test_appliers_of_two_databases_make_the_roles_once(postgres_server: PostgresServer) -> None:
    names = [postgres_server.empty_database() for _ in range(3)]
    roles = Roles("cgk_jobs_at_once")
    done = await asyncio.gather(*(apply(postgres_server.address(name), roles=roles) for name in names))
    assert done == [ALL] * 3
    for name in names:
        postgres_server.drop(name)
    for role in (roles.owner, roles.worker, roles.tenant):
        postgres_server.execute("DROP ROLE {}", role)


async def test_a_failed_migration_changes_nothing(
    empty: str, fresh: list[str], monkeypatch: pytest.MonkeyPatch
) -> None:
    await apply(empty, roles=ROLES)
    broken = Migration(
        SCHEMA_VERSION + 1, "broken", "CREATE TABLE cgk_jobs.half (x integer); SELECT 1 / 0 FROM cgk_jobs.migrations"
    )
    monkeypatch.setattr(migrate, "MIGRATIONS", (*MIGRATIONS, broken))
    monkeypatch.setattr(migrate, "SCHEMA_VERSION", SCHEMA_VERSION + 1)
    with pytest.raises(ProviderUnavailable, match="division by zero"):
        await apply(empty, roles=ROLES)
    assert dump(empty) == fresh


async def test_an_applier_lets_workers_pass(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    """A transaction that holds a table's lock is waited for in short turns; between them others get at the table."""
    await apply(empty, roles=ROLES, upto=1)
    met = asyncio.Event()
    met_another = migrate._met_another

    def seen(error: Exception) -> bool:
        met.set()
        return met_another(error)  # type: ignore[arg-type]

    monkeypatch.setattr(migrate, "_met_another", seen)
    monkeypatch.setattr(migrate, "_LOCK_TIMEOUT", "50ms")
    with psycopg.connect(empty) as working, psycopg.connect(empty, autocommit=True) as other:
        working.execute("SELECT FROM cgk_jobs.runs")
        applying = asyncio.create_task(apply(empty, roles=ROLES))
        await met.wait()
        other.execute("SET lock_timeout = '5s'")
        other.execute("SELECT FROM cgk_jobs.runs")
        working.rollback()
    assert await applying == ALL[1:]


async def test_a_ledger_of_a_newer_version_is_left_alone(empty: str) -> None:
    await apply(empty, roles=ROLES)
    with psycopg.connect(empty) as connection:
        connection.execute("INSERT INTO cgk_jobs.migrations (version, name, checksum) VALUES (99, '0099_later', 'x')")
    before = dump(empty)
    with pytest.raises(NotConfigured, match=r"has schema 99, which code of schema 99.*upgrade the package"):
        await apply(empty, roles=ROLES)
    assert dump(empty) == before
    await refused(empty, "has schema 99.*upgrade the package")


async def test_a_ledger_of_an_older_version_names_the_command(empty: str) -> None:
    await apply(empty, roles=ROLES, upto=1)
    await refused(empty, "has schema 1, .*run cgk jobs schema apply")


async def refused(url: str, message: str) -> None:
    """A pool does not open on this ledger."""
    database = Database(url, SystemClock(), checks=(check_schema,))
    with pytest.raises(NotConfigured, match=message):
        await database.rows("read_migrations")
    database.close()


async def test_no_ledger_names_the_command(empty: str) -> None:
    (problem,) = (await status(empty)).problems
    assert "run cgk jobs schema apply" in problem
    await refused(empty, "cgk jobs schema apply")


async def test_another_text_of_an_applied_file_is_reported(empty: str, monkeypatch: pytest.MonkeyPatch) -> None:
    await apply(empty, roles=ROLES)
    edited = replace(MIGRATIONS[0], text=MIGRATIONS[0].text + "\n-- edited after its release\n")
    monkeypatch.setattr(migrate, "MIGRATIONS", (edited, *MIGRATIONS[1:]))
    (problem,) = (await status(empty)).problems
    assert "0001_ledger was applied with other text" in problem
    with pytest.raises(NotConfigured, match="0001_ledger was applied with other text"):
        await apply(empty, roles=ROLES)


async def test_a_gap_in_the_record_is_reported(empty: str) -> None:
    await apply(empty, roles=ROLES)
    with psycopg.connect(empty) as connection:
        connection.execute("DELETE FROM cgk_jobs.migrations WHERE version = 1")
    (problem,) = (await status(empty)).problems
    assert "not 1" in problem


async def test_somebody_elses_schema_is_left_alone(empty: str) -> None:
    with psycopg.connect(empty) as connection:
        connection.execute("CREATE SCHEMA cgk_jobs; CREATE TABLE cgk_jobs.theirs (x integer)")
    with pytest.raises(NotConfigured, match="somebody else's, so nothing was changed"):
        await apply(empty, roles=ROLES)
    with psycopg.connect(empty) as connection:
        found = connection.execute("SELECT relname FROM pg_class WHERE relnamespace = 'cgk_jobs'::regnamespace")
        assert found.fetchall() == [("theirs",)]


async def test_an_administrator_need_not_be_superuser(postgres_server: PostgresServer) -> None:
    admin, name = "cgk_jobs_some_admin", postgres_server.empty_database()
    postgres_server.execute("CREATE ROLE {} LOGIN CREATEROLE PASSWORD 'x'", admin)
    postgres_server.execute("ALTER DATABASE {} OWNER TO {}", name, admin)
    roles = Roles("cgk_jobs_of_admin")
    try:
        url = postgres_server.address(name, admin, "x")
        assert await apply(url, roles=roles) == ALL
        assert await apply(url, roles=roles) == []
    finally:
        postgres_server.drop(name)
        for role in (roles.owner, roles.worker, roles.tenant, admin):
            postgres_server.execute("DROP ROLE IF EXISTS {}", role)


async def test_a_login_that_may_not_make_roles_is_told_so(empty: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute("CREATE ROLE {} LOGIN PASSWORD 'x'", "cgk_jobs_nobody")
    try:
        url = postgres_server.address(urlsplit(empty).path.removeprefix("/"), "cgk_jobs_nobody", "x")
        with pytest.raises(NotConfigured, match="CREATEROLE"):
            await apply(url, roles=Roles("cgk_jobs_none"))
    finally:
        postgres_server.execute("DROP ROLE {}", "cgk_jobs_nobody")
    assert dump(empty) == []


@pytest.mark.parametrize("prefix", ["", "1a", 'a"b', "Über", "pg_a", "a" * 42, "a-b"])
def test_a_prefix_that_would_need_quotes_is_refused(prefix: str) -> None:
    with pytest.raises(NotConfigured, match="prefix"):
        Roles(prefix)


def test_names_of_roles_are_replaced_and_no_others() -> None:
    text = "GRANT cgk_jobs_worker TO cgk_jobs_worker_login; SELECT 'cgk_jobs_tenant', cgk_jobs.tenant_key"
    assert (
        Roles("x").named_in(text) == "GRANT x_worker TO cgk_jobs_worker_login; SELECT 'x_tenant', cgk_jobs.tenant_key"
    )
    assert sql.Identifier(Roles("x").owner).as_string(None) == '"x_owner"'


@pytest.mark.parametrize(
    ("tenant_id", "allowed"),
    [("a", True), ("7-eleven_", True), ("a" * 63, True), ("a" * 64, False), ("", False), ("_a", False), ("-a", False),
     ("Acme", False), ("a b", False), ("a\n", False), ("acme\nacme", False), ("ä", False)],
)  # fmt: skip
async def test_the_tables_themselves_refuse_what_is_no_tenants_name(tenant_id: str, allowed: bool, empty: str) -> None:
    await apply(empty, roles=ROLES)
    with psycopg.connect(empty) as connection:
        statement = (
            "INSERT INTO cgk_jobs.unrouted_events (seq, nonce, created_at, version, tenant_id, name, payload) "
            "VALUES (1, 1, 1, 1, %s, 'x', '{}')"
        )
        checks = connection.execute(
            "SELECT DISTINCT pg_get_constraintdef(oid) FROM pg_constraint "
            "WHERE conname IN ('runs_tenant_id_check', 'unrouted_events_tenant_id_check', 'wakeups_tenant_id_check')"
        ).fetchall()
        assert len(checks) == 1
        if allowed:
            connection.execute(statement, (tenant_id,))
        else:
            with pytest.raises(psycopg.errors.CheckViolation):
                connection.execute(statement, (tenant_id,))
