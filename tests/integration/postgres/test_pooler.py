"""Behind PgBouncer in transaction mode: a statement may reach another server connection than the one before it."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator

import pytest
from tests.integration.postgres.statements import statement
from tests.servers.pgbouncer import PgBouncer
from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.doorbell import Listener
from cgk_jobs.engine.postgres.server import QUERIES
from cgk_jobs.errors import NotConfigured, ProviderUnavailable

SYSTEM = SystemClock()


@pytest.fixture(params=["pgbouncer", "old_pgbouncer"])
def pooler(request: pytest.FixtureRequest) -> PgBouncer:
    """One that knows prepared statements, and one that doesn't."""
    pooler: PgBouncer = request.getfixturevalue(request.param)
    return pooler


@pytest.fixture
def database(pooler: PgBouncer, postgres_database: LedgerDatabase) -> Iterator[Database]:
    database = Database(pooler.address(postgres_database.worker_url), SYSTEM, size=8)
    yield database
    database.close()


async def mixed_work(database: Database, times: int) -> set[int]:
    """Statements alone and in transactions, from many at once; which server connections they reached."""
    pids: set[int] = set()

    async def one(number: int) -> None:
        async def verb(work: Work) -> None:
            first = await work.value("pid", number)
            assert await work.value("double", number) == 2 * number
            assert await work.value("pid", number) == first

        assert await database.value("double", number) == 2 * number
        pids.add(await database.value("pid", number))
        await database.retried(verb)

    with (
        statement("SELECT pg_backend_pid() WHERE $1::integer IS NOT NULL", "pid"),
        statement("SELECT $1::integer * 2", "double"),
    ):
        await asyncio.gather(*[one(number) for number in range(times)])
    return pids


async def test_statements_and_transactions(database: Database) -> None:
    pids = await mixed_work(database, 100)
    assert database.server.pooled
    assert 1 <= len(pids) <= 2


async def test_no_statement_is_mistaken_for_another(database: Database) -> None:
    """Parsed on one server connection and run on the next, it would be the one somebody else has parsed there."""

    async def one(name: str, number: int, expected: int) -> None:
        for _ in range(60):
            assert await database.value(name, number) == expected

    with statement("SELECT $1::integer + 1", "plus_one"), statement("SELECT $1::integer * 10", "times_ten"):
        await asyncio.gather(
            *[one("plus_one", number, number + 1) for number in range(8)],
            *[one("times_ten", number, number * 10) for number in range(8)],
        )


async def test_what_the_pooler_can_is_found_out(pgbouncer: PgBouncer, postgres_database: LedgerDatabase) -> None:
    database = Database(pgbouncer.address(postgres_database.worker_url), SYSTEM)
    await database.rows("list_tenants")
    assert (database.server.pooled, database.server.named) == (True, True)
    database.close()


async def test_what_the_pooler_can_not_is_found_out(
    old_pgbouncer: PgBouncer, postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    url = old_pgbouncer.address(postgres_database.worker_url)
    # The second finds statements the first has left on the server, under the names it would use itself: another process
    # counts from the same number.
    for _ in range(2):
        monkeypatch.setattr("asyncpg.connection._uid", 0)
        database = Database(url, SYSTEM)
        await database.rows("list_tenants")
        assert (database.server.pooled, database.server.named) == (True, False)
        database.close()


async def test_direct_connections_are_no_pooler(postgres_database: LedgerDatabase) -> None:
    database = Database(postgres_database.worker_url, SYSTEM)
    await database.rows("list_tenants")
    assert (database.server.pooled, database.server.named) == (False, True)
    database.close()


async def test_a_pooler_that_hides_what_it_can_not(
    old_pgbouncer: PgBouncer, postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of another make, or set up anew while we are connected: the first refused statement shows it."""
    probe = QUERIES["probe_server"].replace("AS own_names", "AND false AS own_names")
    monkeypatch.setitem(QUERIES, "probe_server", probe)
    database = Database(old_pgbouncer.address(postgres_database.worker_url), SYSTEM, size=8)
    await database.rows("list_tenants")
    assert database.server.named
    await mixed_work(database, 100)
    assert not database.server.named
    database.close()


async def test_no_session_state_is_left_with_the_pooler(
    database: Database, pooler: PgBouncer, postgres_database: LedgerDatabase, postgres_server: PostgresServer
) -> None:
    text = """SELECT name, setting FROM pg_catalog.pg_settings WHERE source = 'session'
              AND name NOT IN ('transaction_isolation', 'application_name', 'client_encoding', 'DateStyle', 'TimeZone', 'standard_conforming_strings')"""
    await mixed_work(database, 50)
    with statement(text) as name:
        assert await database.rows(name) == []
    with statement("SELECT current_setting('lock_timeout') || current_setting('enable_seqscan')") as name:
        # The login has them all the same.
        assert await database.value(name) == "5soff"


async def test_who_can_not_listen_looks_often_while_there_is_work(database: Database) -> None:
    rings = 0
    rung = asyncio.Event()

    def ring() -> None:
        nonlocal rings
        rings += 1
        if rings == 3:
            rung.set()

    listener = Listener(database, ring)
    await listener.start()
    assert rings == 0
    database.stir()
    await rung.wait()
    await listener.close()
    with statement("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'") as name:
        assert await database.value(name) == 0


async def test_a_wrong_password_and_a_database_that_is_not_there(
    pooler: PgBouncer, postgres_database: LedgerDatabase
) -> None:
    url = pooler.address(postgres_database.worker_url)
    database = Database(url.replace("@", "-not@"), SYSTEM)
    with pytest.raises(NotConfigured, match="check user and password"):
        await database.rows("list_tenants")
    database = Database(url.replace(postgres_database.name, "nothing_of_the_kind"), SYSTEM)
    with pytest.raises((NotConfigured, ProviderUnavailable), match="nothing_of_the_kind"):
        await database.rows("list_tenants")


async def test_an_option_poolers_refuse(pooler: PgBouncer, postgres_database: LedgerDatabase) -> None:
    database = Database(pooler.address(postgres_database.worker_url) + "?statement_timeout=5s", SYSTEM)
    with pytest.raises(NotConfigured, match="Take it out"):
        await database.rows("list_tenants")
