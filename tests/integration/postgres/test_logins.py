"""The logins `cgk jobs schema apply` makes, or gives their parts, and which logins the engine works with."""

from __future__ import annotations

from collections.abc import AsyncIterator, Iterator
from typing import Any, LiteralString
from urllib.parse import urlsplit

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.catalogue import scan
from cgk_jobs.engine.postgres.database import Database
from cgk_jobs.engine.postgres.logins import make_logins
from cgk_jobs.engine.postgres.migrate import apply
from cgk_jobs.engine.postgres.roles import Roles, check_role
from cgk_jobs.errors import NotConfigured

ROLES = Roles("cgk_jobs_logins")
WORKER, TENANT = f"{ROLES.worker}_login", f"{ROLES.tenant}_login"


@pytest.fixture
async def admin(postgres_server: PostgresServer) -> AsyncIterator[str]:
    """The administrator's address of a ledger that has roles, and no logins."""
    name = postgres_server.empty_database()
    url = postgres_server.address(name)
    await apply(url, roles=ROLES)
    yield url
    postgres_server.drop(name)
    for role in (WORKER, TENANT, ROLES.owner, ROLES.worker, ROLES.tenant):
        postgres_server.execute("DROP ROLE IF EXISTS {}", role)


@pytest.fixture
def theirs(postgres_server: PostgresServer) -> Iterator[str]:
    """A login of somebody's."""
    postgres_server.execute("CREATE ROLE {} LOGIN PASSWORD 'x'", "cgk_jobs_theirs")
    yield "cgk_jobs_theirs"
    postgres_server.execute("DROP OWNED BY {}", "cgk_jobs_theirs")
    postgres_server.execute("DROP ROLE {}", "cgk_jobs_theirs")


def settings_of(url: str) -> dict[str, str]:
    names = (
        "enable_seqscan",
        "enable_hashjoin",
        "enable_mergejoin",
        "jit",
        "lock_timeout",
        "search_path",
        "track_activities",
    )
    with psycopg.connect(url) as connection:
        return {name: connection.execute(f"SHOW {name}".encode()).fetchall()[0][0] for name in names}


async def test_logins_are_made_with_their_settings(admin: str) -> None:
    worker, tenant = await make_logins(admin, roles=ROLES)
    assert (worker.name, tenant.name) == (WORKER, TENANT)
    assert worker.made
    assert worker.notes + tenant.notes == ()
    found = settings_of(worker.url)
    assert {found[name] for name in ("enable_seqscan", "enable_hashjoin", "enable_mergejoin", "jit")} == {"off"}
    assert (found["lock_timeout"], found["search_path"]) == ("5s", "pg_catalog, pg_temp")
    found = settings_of(tenant.url)
    assert (found["enable_seqscan"], found["track_activities"]) == ("on", "off")
    database = Database(worker.url, SystemClock())
    assert not [problem for problem in await scan(database) if problem.severe]
    database.close()


async def test_a_second_time_changes_nothing(admin: str) -> None:
    first = await make_logins(admin, roles=ROLES)
    for before, after in zip(first, await make_logins(admin, roles=ROLES), strict=True):
        assert not after.made
        assert not after.has_password
        assert urlsplit(after.url).password is None
        settings_of(before.url)


async def test_new_passwords_end_the_old_ones(admin: str) -> None:
    verifiers: list[list[Any]] = []
    for _ in range(2):
        logins = await make_logins(admin, roles=ROLES, new_passwords=True)
        for login in logins:
            assert urlsplit(login.url).password
            settings_of(login.url)
        with psycopg.connect(admin) as connection:
            rows = connection.execute("SELECT rolpassword FROM pg_authid WHERE rolname = ANY (%s)", [[WORKER, TENANT]])
            verifiers.append(rows.fetchall())
    assert len({row for rows in verifiers for row in rows}) == 4


async def test_the_server_is_never_told_a_password(admin: str, postgres_server: PostgresServer) -> None:
    postgres_server.execute("ALTER SYSTEM SET log_statement = 'all'")
    postgres_server.execute("SELECT pg_reload_conf()")
    try:
        logins = await make_logins(admin, roles=ROLES)
    finally:
        postgres_server.execute("ALTER SYSTEM RESET log_statement")
        postgres_server.execute("SELECT pg_reload_conf()")
    log = postgres_server.log
    assert "SCRAM-SHA-256$" in log
    for login in logins:
        assert str(urlsplit(login.url).password) not in log
        assert login.url not in repr(login)


async def test_an_existing_login_takes_the_part_and_keeps_its_password(admin: str, theirs: str) -> None:
    worker, _ = await make_logins(admin, roles=ROLES, worker=theirs, new_passwords=True)
    assert (worker.name, worker.made, worker.has_password) == (theirs, False, False)
    url = worker.url.replace(theirs, f"{theirs}:x")
    assert settings_of(url)["enable_seqscan"] == "off"
    database = Database(url, SystemClock())
    await database.rows("read_migrations")
    database.close()


@pytest.mark.parametrize(
    ("prepare", "message"),
    [
        ("ALTER ROLE {} SUPERUSER", "superuser"),
        ("ALTER ROLE {} BYPASSRLS", "BYPASSRLS"),
        ("ALTER ROLE {} NOLOGIN", "without LOGIN"),
        ("GRANT cgk_jobs_logins_owner TO {}", "is a member of cgk_jobs_logins_owner"),
        ("GRANT cgk_jobs_logins_worker TO {}", "is a member of cgk_jobs_logins_worker"),
    ],
)
async def test_a_login_the_wall_does_not_hold_for_gets_no_part(
    prepare: LiteralString, message: str, admin: str, theirs: str, postgres_server: PostgresServer
) -> None:
    postgres_server.execute(prepare, theirs)
    with pytest.raises(NotConfigured, match=message):
        await make_logins(admin, roles=ROLES, tenant=theirs)


async def test_a_login_that_is_not_there_or_has_two_parts_is_refused(admin: str, theirs: str) -> None:
    with pytest.raises(NotConfigured, match="there is no login nobody_here"):
        await make_logins(admin, roles=ROLES, worker="nobody_here")
    with pytest.raises(NotConfigured, match="name two"):
        await make_logins(admin, roles=ROLES, worker=theirs, tenant=theirs)


async def test_without_superuser_the_rest_is_said(postgres_server: PostgresServer) -> None:
    name, roles = postgres_server.empty_database(), Roles("cgk_jobs_modest")
    postgres_server.execute("CREATE ROLE {} LOGIN CREATEROLE PASSWORD 'x'", "cgk_jobs_modest_admin")
    postgres_server.execute("ALTER DATABASE {} OWNER TO {}", name, "cgk_jobs_modest_admin")
    try:
        url = postgres_server.address(name, "cgk_jobs_modest_admin", "x")
        await apply(url, roles=roles)
        worker, tenant = await make_logins(url, roles=roles)
        assert not worker.notes
        assert all("track_activities" in note for note in tenant.notes)
        assert settings_of(worker.url)["enable_seqscan"] == "off"
        database = Database(worker.url, SystemClock())
        assert not [problem for problem in await scan(database) if problem.severe]
        database.close()
    finally:
        postgres_server.drop(name)
        for part in ("worker_login", "tenant_login", "owner", "worker", "tenant", "admin"):
            postgres_server.execute("DROP ROLE IF EXISTS {}", f"cgk_jobs_modest_{part}")


# --- which login the engine works with ---------------------------------------------------------------------------------


async def checked(url: str) -> None:
    database = Database(url, SystemClock(), checks=(check_role,))
    try:
        await database.rows("read_migrations")
    finally:
        database.close()


async def test_the_workers_login_is_let_in(postgres_database: LedgerDatabase) -> None:
    await checked(postgres_database.worker_url)


async def test_a_superuser_is_refused_unless_allowed(
    postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("JOBS_ALLOW_UNSAFE_ROLE", raising=False)
    with pytest.raises(NotConfigured, match=r"is a superuser.*JOBS_ALLOW_UNSAFE_ROLE=1"):
        await checked(postgres_database.admin_url)
    monkeypatch.setenv("JOBS_ALLOW_UNSAFE_ROLE", "yes")
    with pytest.raises(NotConfigured, match="superuser"):
        await checked(postgres_database.admin_url)
    monkeypatch.setenv("JOBS_ALLOW_UNSAFE_ROLE", "1")
    await checked(postgres_database.admin_url)


async def test_the_tenants_login_is_not_the_workers(postgres_database: LedgerDatabase) -> None:
    with pytest.raises(NotConfigured, match="JOBS_DATABASE_URL"):
        await checked(postgres_database.tenant_url)


@pytest.mark.parametrize(
    ("prepare", "message"),
    [("ALTER ROLE {} BYPASSRLS", "has BYPASSRLS"), ("GRANT cgk_jobs_logins_owner TO {}", "owns the ledger")],
)
async def test_other_logins_above_the_wall_are_refused(
    prepare: LiteralString,
    message: str,
    admin: str,
    theirs: str,
    postgres_server: PostgresServer,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.delenv("JOBS_ALLOW_UNSAFE_ROLE", raising=False)
    await make_logins(admin, roles=ROLES, worker=theirs)
    postgres_server.execute(prepare, theirs)
    database = urlsplit(admin).path.removeprefix("/")
    with pytest.raises(NotConfigured, match=message):
        await checked(postgres_server.address(database, theirs, "x"))
