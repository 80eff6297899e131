"""NOTIFY as a hint: it wakes, it carries nothing, it is rare, and nothing depends on it."""

from __future__ import annotations

import asyncio
import logging
from collections.abc import AsyncIterator, Callable, Iterator

import asyncpg
import pytest
from tests.integration.postgres.statements import statement
from tests.servers.postgres import LedgerDatabase, PostgresServer

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres import doorbell
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.doorbell import CHANNEL, Bell, Listener

SYSTEM = SystemClock()


@pytest.fixture
def database(postgres_database: LedgerDatabase) -> Iterator[Database]:
    database = Database(postgres_database.worker_url, SYSTEM, size=3)
    yield database
    database.close()


class Heard:
    """Counts rings, and can be waited for."""

    def __init__(self) -> None:
        self.count = 0
        self._more = asyncio.Event()

    def __call__(self) -> None:
        self.count += 1
        self._more.set()

    async def next(self) -> None:
        """Wait for a ring after this call."""
        self._more.clear()
        await self._more.wait()


@pytest.fixture
async def hear(postgres_database: LedgerDatabase) -> AsyncIterator[Callable[[Heard], object]]:
    """Listens as another process would, on a database object of its own."""
    started: list[tuple[Listener, Database]] = []

    async def listen(heard: Heard) -> Database:
        other = Database(postgres_database.worker_url, SYSTEM)
        listener = Listener(other, heard)
        started.append((listener, other))
        await listener.start()
        return other

    yield listen
    for listener, other in started:
        await listener.close()
        other.close()


Hear = Callable[[Heard], "asyncio.Future[Database]"]


async def notifications(database: Database) -> tuple[asyncpg.Connection[asyncpg.Record], list[tuple[str, str]]]:
    """A connection that writes down what is said on the channel."""
    connection = await database.server.connect()
    said: list[tuple[str, str]] = []
    await connection.add_listener(CHANNEL, lambda _, __, channel, payload: said.append((channel, str(payload))))
    return connection, said


async def after_all_that_was_sent(connection: asyncpg.Connection[asyncpg.Record], database: Database) -> None:
    """Notifications come in the order of their commits: once this one is there, the ones before it are."""
    there = asyncio.Event()
    await connection.add_listener("of_the_test", lambda *_: there.set())
    with statement("SELECT pg_notify('of_the_test', '')") as name:
        await database.value(name)
    await there.wait()


async def test_a_ring_reaches_the_others(database: Database, hear: Hear) -> None:
    first, second = Heard(), Heard()
    await hear(first)
    await hear(second)
    waiting = asyncio.gather(first.next(), second.next())
    await asyncio.sleep(0)
    Bell(database).ring()
    await waiting


async def test_who_begins_to_listen_looks_once(hear: Hear) -> None:
    """For what was rung before."""
    heard = Heard()
    await hear(heard)
    assert heard.count == 1


async def test_a_burst_is_two_rings(database: Database, monkeypatch: pytest.MonkeyPatch) -> None:
    """The first at once, the second for all that came meanwhile."""
    pauses: asyncio.Queue[asyncio.Event] = asyncio.Queue()

    async def sleep(seconds: float) -> None:
        assert seconds == doorbell.QUIET
        over = asyncio.Event()
        pauses.put_nowait(over)
        await over.wait()

    connection, said = await notifications(database)
    bell = Bell(database)
    monkeypatch.setattr("cgk_jobs.engine.postgres.doorbell.asyncio.sleep", sleep)
    bell.ring()
    pause = await pauses.get()
    for _ in range(500):
        bell.ring()
    await after_all_that_was_sent(connection, database)
    assert len(said) == 1
    pause.set()
    pause = await pauses.get()
    await after_all_that_was_sent(connection, database)
    assert len(said) == 2
    ringing = bell._ringing
    assert ringing is not None
    pause.set()
    await ringing
    await after_all_that_was_sent(connection, database)
    assert len(said) == 2
    # The next one is a first one again.
    bell.ring()
    (await pauses.get()).set()
    await after_all_that_was_sent(connection, database)
    assert len(said) == 3
    monkeypatch.undo()
    await connection.close()


async def test_a_ring_says_nothing_about_anybody(database: Database) -> None:
    connection, said = await notifications(database)
    Bell(database).ring()
    with statement("SELECT 1") as name:
        while not said:
            await database.value(name)
    assert said == [(CHANNEL, "")]
    await connection.close()


async def test_a_ring_is_never_part_of_a_transaction(database: Database) -> None:
    connection, said = await notifications(database)

    async def verb(work: Work) -> None:
        Bell(database).ring()
        while not said:
            await work.value("nothing")
        raise LookupError("rolls back")

    with statement("SELECT 1", "nothing"), pytest.raises(LookupError):
        await database.retried(verb)
    await connection.close()


async def test_ringing_an_unreachable_database_fails_nobody(
    database: Database, caplog: pytest.LogCaptureFixture, monkeypatch: pytest.MonkeyPatch
) -> None:
    caplog.set_level(logging.DEBUG, logger="cgk_jobs")
    gone = Database("postgresql://u@127.0.0.1:1/nothing", SYSTEM)
    bell = Bell(gone)
    bell.ring()
    ringing = bell._ringing
    assert ringing is not None
    await ringing
    assert "workers were not rung" in caplog.text
    assert not [record for record in caplog.records if record.levelno >= logging.WARNING]


async def test_a_listener_comes_back_after_a_restart(
    postgres_server: PostgresServer, database: Database, hear: Hear
) -> None:
    heard = Heard()
    await hear(heard)
    await asyncio.to_thread(postgres_server.restart, "immediate")
    # It looks once when it listens again; then it hears as before.
    while heard.count < 2:
        await heard.next()
    waiting = asyncio.create_task(heard.next())
    await asyncio.sleep(0)
    Bell(database).ring()
    await waiting


async def test_a_listener_starts_without_a_server_and_finds_it_later(
    postgres_server: PostgresServer, database: Database, hear: Hear
) -> None:
    await asyncio.to_thread(postgres_server.stop)
    heard = Heard()
    await hear(heard)
    assert heard.count == 0
    await asyncio.to_thread(postgres_server.start)
    while heard.count < 1:
        await heard.next()


async def test_a_closed_listener_holds_no_connection(postgres_database: LedgerDatabase, database: Database) -> None:
    with statement("SELECT count(*) FROM pg_stat_activity WHERE query ILIKE 'LISTEN%'") as name:
        other = Database(postgres_database.worker_url, SYSTEM)
        listener = Listener(other, lambda: None)
        await listener.start()
        assert await database.value(name) == 1
        await listener.close()
        await listener.close()
        while await database.value(name) > 0:
            continue
