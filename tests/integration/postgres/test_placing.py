"""Places in the fair order are counted once, whatever happens between giving and storing them."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Sequence

import psycopg
import pytest
from tests.integration.postgres.held_tables import held
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, NewEvent, Subscription, TenantRecord
from cgk_jobs.tasks.flow import Flow, Throttle
from cgk_jobs.testing.clock import TestClock

SYNC = Subscription("sync", "placed", "default", 0, 0, None, "")
RUNS = "cgk_jobs.runs"


@pytest.fixture
async def stores(postgres_database: LedgerDatabase) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    clock = TestClock()
    one, other = (PostgresStore(postgres_database.worker_url, clock) for _ in range(2))
    await one.subscribe([SYNC])
    await one.insert([NewEvent("acme", "unheard", 1, "{}")])  # the tenant is known, and has no place yet
    yield one, other
    one.close()
    other.close()


def burst(count: int, name: str = "placed", **options: object) -> list[NewEvent]:
    return [NewEvent("acme", name, 1, "{}", **options) for _ in range(count)]  # type: ignore[arg-type]


def column(database: LedgerDatabase, query: str) -> list[object]:
    with psycopg.connect(database.admin_url) as connection:
        return [row[0] for row in connection.execute(query.encode()).fetchall()]


def places(database: LedgerDatabase) -> list[object]:
    return column(database, "SELECT vstart FROM cgk_jobs.runs ORDER BY vstart")


async def publish(store: PostgresStore) -> None:
    await store._placing.publish(store._database)


async def test_a_burst_is_not_put_behind_itself(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    store, _ = stores
    async with held(postgres_database.admin_url, RUNS, lambda: store.insert(burst(50))) as sending:
        await publish(store)
    await sending
    assert places(postgres_database) == list(range(1, 51))
    await publish(store)
    assert column(postgres_database, "SELECT value FROM cgk_jobs.tenant_clocks") == [50]


async def test_a_burst_goes_behind_what_other_processes_have_sent(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    store, other = stores
    async with held(postgres_database.admin_url, RUNS, lambda: store.insert(burst(50))) as sending:
        await publish(store)
        with other._placing.giving() as given:
            for _ in range(20):
                given.place("default", "acme")
        await publish(other)
    await sending
    assert places(postgres_database) == list(range(21, 71))
    await publish(store)
    assert column(postgres_database, "SELECT value FROM cgk_jobs.tenant_clocks") == [70]


async def test_a_burst_is_not_put_behind_one_that_came_after_it(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    store, _ = stores
    async with held(postgres_database.admin_url, RUNS, lambda: store.insert(burst(50))) as sending:
        with store._placing.giving() as given:
            assert given.place("default", "acme") == (51, True)
        await publish(store)
    await sending
    assert places(postgres_database) == list(range(1, 51))


async def test_what_a_long_insert_keeps_back_is_published_after_a_second(
    stores: tuple[PostgresStore, PostgresStore],
    postgres_database: LedgerDatabase,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    store, _ = stores
    with store._placing.giving() as long, store._placing.giving() as short:
        long.place("default", "acme")
        with store._placing.giving() as given:
            given.place("default", "acme")
        await publish(store)
        assert column(postgres_database, "SELECT value FROM cgk_jobs.tenant_clocks") == []
        monkeypatch.setattr("cgk_jobs.engine.postgres.placing._SHARED_WITHIN", 0.0)
        await publish(store)
        assert column(postgres_database, "SELECT value FROM cgk_jobs.tenant_clocks") == [1]
        # Behind all that was given here, though only one of the three is counted yet.
        assert short.place("default", "acme")[0] == 3


async def test_runs_whose_time_has_come_are_not_put_behind_themselves(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    store, _ = stores
    clock = store._clock
    assert isinstance(clock, TestClock)
    await store.insert(burst(50, due_at=clock.micros() + 1))
    clock.advance(1)
    async with held(postgres_database.admin_url, RUNS, lambda: store.exchange(0, (), None)) as readying:
        await publish(store)
    await readying
    assert places(postgres_database) == list(range(1, 51))


async def test_places_that_were_not_used_are_given_again(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    store, other = stores
    await other.put_tenant(TenantRecord("calm", added=True))  # this process's settings are not the ledger's now
    await store.insert(burst(50))
    assert places(postgres_database) == list(range(1, 51))
    await publish(store)
    assert column(postgres_database, "SELECT value FROM cgk_jobs.tenant_clocks") == [50]


@pytest.mark.parametrize(
    ("tasks", "events"),
    [
        ([SYNC], [*burst(1), *burst(1, "unheard")]),
        (
            [SYNC._replace(task="one", event="flowing", flow=Flow(throttle=Throttle(10, 60)).stored())],
            [*burst(1, "flowing"), *burst(1, "unheard")],
        ),
    ],
    ids=["plain", "flow control"],
)
async def test_nothing_is_stored_twice_when_settings_change_half_way(
    stores: tuple[PostgresStore, PostgresStore],
    postgres_database: LedgerDatabase,
    tasks: Sequence[Subscription],
    events: Sequence[NewEvent],
) -> None:
    store, other = stores
    await store.subscribe(tasks)
    await other.subscribe([SYNC])

    async def change() -> None:
        await other.subscribe([SYNC._replace(task="late", event="unheard")])

    async with held(postgres_database.admin_url, "cgk_jobs.unrouted_events", lambda: store.insert(events)) as sending:
        await asyncio.wait_for(change(), 10)
    first, second = await sending
    assert column(postgres_database, "SELECT seq FROM cgk_jobs.runs ORDER BY seq") == [
        *first.run_seqs,
        *second.run_seqs,
    ]
    assert len(second.run_seqs) == 1


async def test_claims_pass_by_a_littered_front_until_it_is_swept_again(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    store, _ = stores
    seat = await store.take_seat(["default"], 20, 60.0)
    sweeps = store._desk._claiming._sweeps

    async def claimed() -> list[float]:
        answer = await store.exchange(seat.id, (), Appetite(("default",), 10, {"sync": None}))
        return [claim.vstart for claim in answer.claims]

    await store.insert(burst(5))
    assert await claimed() == [1, 2, 3, 4, 5]
    for _ in range(3):
        await publish(store)
    await store.insert(burst(2))
    with psycopg.connect(postgres_database.admin_url) as connection:
        connection.execute("UPDATE cgk_jobs.runs SET vstart = 1 WHERE vstart = 6")
    sweeps.swept("default", monotonic(), took=1.0, rows=1)
    assert await claimed() == [7]
    assert await claimed() == []
    sweeps.swept("default", monotonic() - 10, took=1.0, rows=1)
    assert await claimed() == [1]
    await seat.leave()
