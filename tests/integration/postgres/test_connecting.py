"""Connecting to PostgreSQL: what is asked of a server, and what a user is told when it can't be used."""

from __future__ import annotations

import socket
from collections.abc import Iterator

import psycopg
import pytest
from tests.integration.postgres.statements import statement
from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres import refusals, server
from cgk_jobs.engine.postgres.address import parse_address
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.errors import JobsError, NotConfigured, ProviderUnavailable

SYSTEM = SystemClock()


@pytest.fixture
def database(postgres_database: LedgerDatabase) -> Iterator[Database]:
    database = Database(postgres_database.worker_url, SYSTEM, size=3)
    yield database
    database.close()


async def refused(url: str, kind: type[JobsError], name: str = "list_tenants") -> str:
    """What the first use of a database says."""
    database = Database(url, SYSTEM)
    try:
        with pytest.raises(kind) as refusal:
            await database.rows(name)
    finally:
        database.close()
    return str(refusal.value)


# -- what works --------------------------------------------------------------------------------------------------------


async def test_the_session_is_prepared_for_a_queue(database: Database) -> None:
    text = "SELECT name, setting FROM pg_catalog.pg_settings WHERE name = ANY($1::text[])"
    names = ["jit", "enable_seqscan", "enable_hashjoin", "lock_timeout", "application_name", "search_path"]
    with statement(text) as name:
        assert {row[0]: row[1] for row in await database.rows(name, names)} == {
            "jit": "off",
            "enable_seqscan": "off",
            "enable_hashjoin": "off",
            "lock_timeout": "5000",
            "application_name": "cgk_jobs",
            "search_path": "pg_catalog, pg_temp",
        }


@pytest.mark.parametrize("scheme", ["postgres", "postgresql+asyncpg", "postgresql+psycopg"])
async def test_addresses_as_other_libraries_write_them(postgres_database: LedgerDatabase, scheme: str) -> None:
    url = postgres_database.worker_url.replace("postgresql", scheme, 1) + "?ssl=disable&connect_timeout=3"
    database = Database(url, SYSTEM)
    assert await database.rows("list_tenants") == []
    database.close()


async def test_the_unix_socket(postgres_server: PostgresServer, postgres_database: LedgerDatabase) -> None:
    user = parse_address(postgres_database.worker_url).user
    url = f"postgresql://{user}@/{postgres_database.name}?host={postgres_server.socket_folder}&port={postgres_server.port}"
    database = Database(url, SYSTEM)
    assert await database.rows("list_tenants") == []
    database.close()


# -- what is refused ---------------------------------------------------------------------------------------------------


async def test_nobody_listens_there() -> None:
    with socket.socket() as taken:
        taken.bind(("127.0.0.1", 0))
        url = f"postgresql://u:secret@127.0.0.1:{taken.getsockname()[1]}/db"
        said = await refused(url, ProviderUnavailable)
    assert "can't reach PostgreSQL at u@127.0.0.1" in said
    assert "secret" not in said


async def test_a_host_that_says_nothing(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CONNECT_TIMEOUT", 0.05)
    with socket.socket() as silent:
        silent.bind(("127.0.0.1", 0))
        silent.listen()
        said = await refused(f"postgresql://u@127.0.0.1:{silent.getsockname()[1]}/db", ProviderUnavailable)
    assert "no answer" in said


async def test_a_host_nobody_knows() -> None:
    assert "can't reach" in await refused("postgresql://u@nowhere.invalid/db", ProviderUnavailable)


async def test_a_wrong_password(postgres_database: LedgerDatabase) -> None:
    url = postgres_database.worker_url.replace("@", "-not@")
    assert "check user and password" in await refused(url, NotConfigured)


async def test_a_database_that_does_not_exist(postgres_server: PostgresServer) -> None:
    said = await refused(postgres_server.address("nothing_of_the_kind"), NotConfigured)
    assert "Make the database (createdb), then run: cgk jobs schema apply" in said


async def test_a_database_without_the_schema(postgres_server: PostgresServer) -> None:
    name = postgres_server.empty_database()
    assert "cgk jobs schema apply" in await refused(postgres_server.address(name), NotConfigured)
    postgres_server.drop(name)


@pytest.mark.parametrize(
    ("change", "remedy"),
    [
        ("INSERT INTO cgk_jobs.migrations (version, name, checksum) VALUES (999, '0999_x', 'x')", "upgrade the package"),
        ("DELETE FROM cgk_jobs.migrations WHERE version = (SELECT max(version) FROM cgk_jobs.migrations)", "cgk jobs schema apply"),
    ],
)  # fmt: skip
async def test_a_schema_of_another_version(postgres_database: LedgerDatabase, change: str, remedy: str) -> None:
    with psycopg.connect(postgres_database.admin_url) as connection:
        assert connection.execute(change.encode()).rowcount == 1
    assert remedy in await refused(postgres_database.worker_url, NotConfigured)


async def test_a_login_that_may_too_much_or_too_little(
    postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    assert "is a superuser" in await refused(postgres_database.admin_url, NotConfigured)
    said = await refused(postgres_database.tenant_url, NotConfigured)
    assert "worker login that `cgk jobs schema apply` makes" in said
    monkeypatch.setenv("JOBS_ALLOW_UNSAFE_ROLE", "1")
    database = Database(postgres_database.admin_url, SYSTEM)
    assert await database.rows("list_tenants") == []
    database.close()


async def test_a_missing_privilege(database: Database) -> None:
    with (
        statement("TRUNCATE cgk_jobs.runs") as name,
        pytest.raises(NotConfigured, match=r"may not do this.*JOBS_DATABASE_URL"),
    ):
        await database.run(name)


async def test_a_database_that_is_read_only(postgres_server: PostgresServer, postgres_database: LedgerDatabase) -> None:
    postgres_server.execute("ALTER DATABASE {} SET default_transaction_read_only = on", postgres_database.name)
    assert "default_transaction_read_only" in await refused(postgres_database.worker_url, NotConfigured)


async def test_a_server_that_became_read_only_meanwhile(database: Database) -> None:
    async def writes(work: Work) -> None:
        await work.run("make_read_only")
        await work.run("write")

    with (
        statement("SET TRANSACTION READ ONLY", "make_read_only"),
        statement("INSERT INTO cgk_jobs.paused (paused_at, kind, name) VALUES (1, 'queue', 'a')", "write"),
        pytest.raises(ProviderUnavailable, match="give the address of the primary"),
    ):
        await database.retried(writes)


@pytest.mark.parametrize(
    ("found", "kind", "message"),
    [
        ("130010 AS version, false AS standby", NotConfigured, "is PostgreSQL 13; 14 or newer is needed"),
        ("150001 AS version, true AS standby", ProviderUnavailable, "is a standby"),
    ],
)
async def test_a_server_that_does_not_do(
    postgres_database: LedgerDatabase,
    monkeypatch: pytest.MonkeyPatch,
    found: str,
    kind: type[JobsError],
    message: str,
) -> None:
    """What the server says of itself is played: there is neither an old one nor a standby here."""
    probe = f"SELECT pg_backend_pid() AS pid, {found}, false AS read_only, true AS bounded, true AS own_names"
    monkeypatch.setitem(server.QUERIES, "probe_server", probe)
    assert message in await refused(postgres_database.worker_url, kind)


async def test_an_option_the_server_does_not_know(postgres_database: LedgerDatabase) -> None:
    assert "Take it out" in await refused(postgres_database.worker_url + "?no_such_option=1", NotConfigured)


@pytest.mark.parametrize(
    ("url", "message"),
    [
        ("mysql://u@h/d", "mysql:// is no PostgreSQL address"),
        ("host=h dbname=d", "is no PostgreSQL address"),
        ("postgresql:/u@h/d", "is no PostgreSQL address"),
        ("postgresql://u:a#b@h/d", "write it as %23"),
        ("postgresql://u@[h/d", "can't be read"),
        ("postgresql://u@h:port/d", "'port' in the database address is no number"),
        ("postgresql://u@h1:1,[::1]:2x/d", "'2x' in the database address is no number"),
        ("postgresql://u@h/d?channel_binding=require", "channel_binding=require"),
    ],
)
def test_text_that_is_no_address(url: str, message: str) -> None:
    with pytest.raises(NotConfigured) as refusal:
        Database(url, SYSTEM)
    assert message in str(refusal.value)


async def test_too_many_connections(postgres_server: PostgresServer, postgres_database: LedgerDatabase) -> None:
    postgres_server.execute("ALTER DATABASE {} CONNECTION LIMIT 0", postgres_database.name)
    assert "no connection left" in await refused(postgres_database.worker_url, ProviderUnavailable)


async def test_a_fault_of_a_statement_is_the_drivers(database: Database) -> None:
    with statement("SELECT nonsense") as name, pytest.raises(refusals.DRIVER_ERRORS, match="nonsense"):
        await database.rows(name)
