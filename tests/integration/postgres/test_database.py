"""Statements, transactions and the pool of connections, in good times and bad."""

from __future__ import annotations

import asyncio
import gc
import os
import signal
import warnings
from collections.abc import Iterator
from datetime import UTC, datetime

import asyncpg
import pytest
from tests.integration.postgres.statements import statement
from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.clock import ManualClock, SystemClock
from cgk_jobs.engine.postgres import pool, server
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.errors import ProviderUnavailable

SYSTEM = SystemClock()


@pytest.fixture
def database(postgres_database: LedgerDatabase) -> Iterator[Database]:
    database = Database(postgres_database.worker_url, SYSTEM, size=3)
    yield database
    database.close()


# -- what works --------------------------------------------------------------------------------------------------------


async def test_four_ways_to_ask(database: Database) -> None:
    with statement("SELECT n, n * $1::integer AS times FROM generate_series(1, 3) AS n ORDER BY n") as name:
        assert [tuple(row) for row in await database.rows(name, 2)] == [(1, 2), (2, 4), (3, 6)]
        row = await database.row(name, 5)
        assert row is not None
        assert row["times"] == 5
        assert await database.value(name, 5) == 1
        assert await database.run(name, 5) == 3
    with statement("SELECT 1 WHERE $1::boolean") as name:
        assert await database.row(name, False) is None
        assert await database.value(name, False) is None
        assert await database.run(name, False) == 0


def test_only_a_manual_clock_overrides_the_databases(postgres_database: LedgerDatabase) -> None:
    assert Database(postgres_database.worker_url, SYSTEM).now is None
    moment = datetime(2026, 1, 1, tzinfo=UTC)
    assert Database(postgres_database.worker_url, ManualClock(moment)).now == 1_767_225_600_000_000


# -- transactions ------------------------------------------------------------------------------------------------------


async def test_a_transaction_is_done_whole_or_not_at_all(database: Database) -> None:
    with statement("INSERT INTO cgk_jobs.paused (paused_at, kind, name) VALUES (1, 'queue', $1)") as add:

        async def fails(work: Work) -> None:
            await work.run(add, "a")
            raise LookupError("of the verb")

        with pytest.raises(LookupError):
            await database.retried(fails)
        await database.retried(lambda work: work.run(add, "b"))
    with statement("SELECT name FROM cgk_jobs.paused") as names:
        assert [row["name"] for row in await database.rows(names)] == ["b"]


async def test_a_deadlock_is_done_again(database: Database) -> None:
    with statement(
        "INSERT INTO cgk_jobs.paused (paused_at, kind, name) VALUES (0, 'queue', 'a'), (0, 'queue', 'b')"
    ) as add:
        await database.run(add)
    both_hold_one = asyncio.Barrier(2)
    tries = 0

    async def crosswise(work: Work, first: str, second: str) -> None:
        nonlocal tries
        tries += 1
        await work.run("raise_moment", first)
        if tries <= 2:
            await both_hold_one.wait()
        await work.run("raise_moment", second)

    with statement("UPDATE cgk_jobs.paused SET paused_at = paused_at + 1 WHERE name = $1", "raise_moment"):
        await asyncio.gather(
            database.retried(lambda work: crosswise(work, "a", "b")),
            database.retried(lambda work: crosswise(work, "b", "a")),
        )
    assert tries == 3
    with statement("SELECT paused_at FROM cgk_jobs.paused") as moments:
        assert [row["paused_at"] for row in await database.rows(moments)] == [2, 2]


async def test_an_interrupted_transaction_leaves_nothing_behind(database: Database) -> None:
    begun = asyncio.Event()

    async def hangs(work: Work) -> None:
        await work.run("add")
        begun.set()
        await asyncio.Event().wait()

    with statement("INSERT INTO cgk_jobs.paused (paused_at, kind, name) VALUES (1, 'queue', 'a')", "add"):
        for _ in range(4):  # more often than there are connections
            begun.clear()
            task = asyncio.create_task(database.retried(hangs))
            await begun.wait()
            task.cancel()
            with pytest.raises(asyncio.CancelledError):
                await task
    with statement("SELECT 1 FROM cgk_jobs.paused") as name:
        assert await database.rows(name) == []


@pytest.mark.parametrize("unwinding", [SystemExit, asyncio.CancelledError])
async def test_a_transaction_that_is_unwound_leaves_nothing_behind(
    postgres_database: LedgerDatabase, unwinding: type[BaseException]
) -> None:
    """By what is no ``Exception``, nobody rolls back: the connection must not be lent again as it is."""
    database = Database(postgres_database.worker_url, SYSTEM, size=1)

    async def unwinds(work: Work) -> None:
        await work.run("add")
        raise unwinding

    with statement("INSERT INTO cgk_jobs.paused (paused_at, kind, name) VALUES (1, 'queue', 'a')", "add"):
        for _ in range(2):
            with pytest.raises(unwinding):
                await database.retried(unwinds)
    with statement("SELECT 1 FROM cgk_jobs.paused") as name:
        assert await database.rows(name) == []
    database.close()


async def test_an_interrupted_statement_is_in_nobodys_way(
    postgres_database: LedgerDatabase, database: Database
) -> None:
    lone = Database(postgres_database.worker_url, SYSTEM, size=1)
    with (
        statement("SELECT pg_sleep(60)") as sleep,
        statement("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'", "asleep"),
    ):
        await lone.rows("list_tenants")
        sleeper = asyncio.create_task(lone.value(sleep))
        while await database.value("asleep") < 1:
            continue
        sleeper.cancel()
        assert await lone.rows("list_tenants") == []
        with pytest.raises(asyncio.CancelledError):
            await sleeper
        while await database.value("asleep") > 0:
            continue
    lone.close()


async def test_a_server_that_says_nothing_any_more(
    postgres_server: PostgresServer, postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """As when its host vanished: neither an answer nor a refusal comes, and a cancellation is not heard either."""
    if not postgres_server.is_own:
        pytest.skip("stops a process of the server")
    monkeypatch.setattr(server, "STATEMENT_TIMEOUT", 0.2)
    lone = Database(postgres_database.worker_url, SYSTEM, size=1)
    with statement("SELECT pg_backend_pid()") as name:
        pid = await lone.value(name)
        monkeypatch.undo()
        os.kill(pid, signal.SIGSTOP)
        try:
            with pytest.raises(ProviderUnavailable, match="did not answer in time"):
                await lone.value(name)
            assert await lone.value(name) != pid
        finally:
            os.kill(pid, signal.SIGCONT)
    lone.close()


async def test_connections_of_another_kind_of_server_are_not_lent_again(
    postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Those in use when a pooler turns out to lose prepared statements."""
    database = Database(postgres_database.worker_url, SYSTEM, size=2)
    found_out, may_end = asyncio.Event(), asyncio.Event()
    pids: list[int] = []

    async def holds(work: Work) -> None:
        pids.append(await work.value("pid"))
        found_out.set()
        await may_end.wait()

    async def fails_once(work: Work) -> None:
        if database.server.named:
            database.server.pooled = True
            raise asyncpg.InvalidSQLStatementNameError("prepared statement does not exist")

    with statement("SELECT pg_backend_pid()", "pid"):
        holder = asyncio.create_task(database.retried(holds))
        await found_out.wait()
        await database.retried(fails_once)
        may_end.set()
        await holder
        now = await asyncio.gather(*[database.value("pid") for _ in range(20)])
    assert not database.server.named
    assert pids[0] not in now
    database.close()


async def test_a_failure_that_was_swallowed_is_not_reported_as_done(database: Database) -> None:
    async def swallows(work: Work) -> None:
        with pytest.raises(asyncpg.DivisionByZeroError):
            await work.value("divide")

    with statement("SELECT 1 / 0", "divide"), pytest.raises(ProviderUnavailable, match="rolled back"):
        await database.retried(swallows)


# -- the pool ----------------------------------------------------------------------------------------------------------


async def test_waiting_for_a_connection_ends(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pool, "PATIENCE", 0.05)
    with statement("SELECT pg_sleep(60)") as sleep:
        sleepers = [asyncio.create_task(database.value(sleep)) for _ in range(3)]
        with statement("SELECT count(*) FROM pg_stat_activity WHERE query LIKE 'SELECT pg_sleep%'", "asleep"):
            watcher = Database(database.address.dsn, SYSTEM, checks=())
            while await watcher.value("asleep") < 3:
                continue
            watcher.close()
        with pytest.raises(ProviderUnavailable, match=r"all 3 connections .* were busy"):
            await database.rows("list_tenants")
        # Heartbeats have their own.
        assert await database.reserved.rows("list_tenants") == []
        for task in sleepers:
            task.cancel()
        await asyncio.gather(*sleepers, return_exceptions=True)
    monkeypatch.setattr(pool, "PATIENCE", 30.0)
    assert await database.rows("list_tenants") == []


async def test_many_share_few_connections(database: Database) -> None:
    with statement("SELECT pg_backend_pid()") as name:
        pids = await asyncio.gather(*[database.value(name) for _ in range(200)])
    assert len(set(pids)) <= 3


async def test_a_closed_database_opens_again(database: Database) -> None:
    assert await database.rows("list_tenants") == []
    database.close()
    database.close()
    assert await database.rows("list_tenants") == []


def test_every_loop_has_connections_of_its_own_and_takes_them_with_it(
    postgres_server: PostgresServer, postgres_database: LedgerDatabase
) -> None:
    database = Database(postgres_database.worker_url, SYSTEM)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        for _ in range(3):
            assert asyncio.run(database.rows("list_tenants")) == []
            gc.collect()


async def test_an_abandoned_database_gives_its_connections_back(
    postgres_server: PostgresServer, postgres_database: LedgerDatabase, database: Database
) -> None:
    abandoned = Database(postgres_database.worker_url, SYSTEM)
    with statement("SELECT count(*) FROM pg_stat_activity WHERE datname = current_database()", "sessions"):
        assert await abandoned.value("sessions") == 1
        assert await database.value("sessions") == 2
        del abandoned
        gc.collect()
        while await database.value("sessions") > 1:
            continue


@pytest.mark.skipif(not hasattr(os, "fork"), reason="no fork here")
def test_a_forked_child_opens_connections_of_its_own(postgres_database: LedgerDatabase) -> None:
    database = Database(postgres_database.worker_url, SYSTEM)

    async def pid() -> int:
        with statement("SELECT pg_backend_pid()") as name:
            return int(await database.value(name))

    with asyncio.Runner() as runner:
        before = runner.run(pid())
        child = os.fork()
        if child == 0:
            code = 1
            try:
                asyncio.events._set_running_loop(None)
                code = 0 if asyncio.new_event_loop().run_until_complete(pid()) != before else 2
                database.close()
                gc.collect()
            finally:
                os._exit(code)
        assert os.waitstatus_to_exitcode(os.waitpid(child, 0)[1]) == 0
        assert runner.run(pid()) == before


# -- the server goes away ----------------------------------------------------------------------------------------------


async def test_the_pool_recovers_from_a_restart(postgres_server: PostgresServer, database: Database) -> None:
    await asyncio.gather(*[database.rows("list_tenants") for _ in range(3)])
    for mode in ("fast", "immediate"):
        await asyncio.to_thread(postgres_server.stop, mode)
        for _ in range(4):  # once for each connection it had, and once to open one
            with pytest.raises(ProviderUnavailable):
                await database.rows("list_tenants")
        await asyncio.to_thread(postgres_server.start)
        assert await database.rows("list_tenants") == []


async def test_connections_that_ended_while_nobody_used_them_are_not_lent(
    postgres_server: PostgresServer, database: Database
) -> None:
    await asyncio.gather(*[database.rows("list_tenants") for _ in range(3)])
    await asyncio.to_thread(postgres_server.restart)
    assert await database.rows("list_tenants") == []


async def test_a_connection_lost_in_a_statement(postgres_server: PostgresServer, database: Database) -> None:
    with (
        statement("SELECT pg_terminate_backend(pg_backend_pid())") as name,
        pytest.raises(ProviderUnavailable, match="was lost"),
    ):
        await database.value(name)
    assert await database.rows("list_tenants") == []
