"""Wake-ups where numbers belong to tenants, and several relays and rings meet in one database."""

from __future__ import annotations

import asyncio
import random
from collections.abc import AsyncIterator, Awaitable

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import SystemClock
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import RunKey
from cgk_jobs.engine.wakeups import Demand, WakeupRecord
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import SECOND, Driver, subscription

DEMAND = Demand("vendor", ahead=3_600 * SECOND)


@pytest.fixture
async def ledger(postgres_database: LedgerDatabase) -> AsyncIterator[Driver]:
    clock = TestClock()
    store = PostgresStore(postgres_database.worker_url, clock)
    seat = await store.take_seat(("default",), 100, 15.0)
    driver = Driver(store, clock, seat)
    await driver.listen(subscription("sync"))
    yield driver
    await seat.leave()
    store.close()


async def handed(ledger: Driver) -> dict[str, WakeupRecord]:
    """Wake-ups that the provider has acknowledged, by tenant."""
    records = await ledger.store.issue_wakeups(DEMAND)
    await ledger.store.acknowledge_wakeups("vendor", [(record.id, "x", None) for record in records])
    return {record.tenant_id: record._replace(reference="x") for record in records}


async def test_two_tenants_with_one_number_are_never_mixed(ledger: Driver, postgres_database: LedgerDatabase) -> None:
    (seq,) = (await ledger.send("acme")).run_seqs
    await ledger.send("globex")
    with psycopg.connect(postgres_database.admin_url) as connection:
        connection.execute("UPDATE cgk_jobs.runs SET seq = %s WHERE tenant_id = 'globex'", (seq,))
    records = await handed(ledger)
    assert {tenant: record.run_seq for tenant, record in records.items()} == {"acme": seq, "globex": seq}
    await ledger.store.cancel([RunKey("acme", seq)])
    assert await ledger.store.obsolete_wakeups("vendor", 10) == [records["acme"]]
    assert await ledger.store.drop_wakeups([records["acme"].id]) == 1
    # Of a claimed run of one tenant nothing is passed on that belongs to the other's run of the same number.
    await ledger.store.pass_on_wakeups([(records["acme"], "initech", seq)])
    assert await ledger.store.list_wakeups("vendor", "", 10) == [records["globex"]]
    await ledger.store.pass_on_wakeups([(records["acme"], "globex", seq)])
    (moved,) = await ledger.store.list_wakeups("vendor", "", 10)
    assert moved == records["acme"]._replace(id=records["globex"].id)


async def test_relays_and_rings_at_once_leave_each_run_one_and_nobody_waits_in_a_circle(
    ledger: Driver, postgres_database: LedgerDatabase
) -> None:
    """Everything is done at once, by two processes' stores, while wake-ups are overdue, not acknowledged and not needed."""
    other = PostgresStore(postgres_database.worker_url, ledger.clock)
    stores = (ledger.store, other)
    choice = random.Random(7)
    for number in range(120):
        await ledger.send(f"t{number % 5}", delay=choice.choice((None, 20, 60)))
    for _ in range(6):
        records = await ledger.store.issue_wakeups(DEMAND)
        await ledger.store.acknowledge_wakeups("vendor", [(record.id, "x", None) for record in records[::2]])
        ledger.clock.advance(choice.choice((11, 31)))
        claims = await ledger.claim(5)
        left = choice.sample(records, min(len(records), 5))
        work: list[Awaitable[object]] = [store.issue_wakeups(DEMAND) for store in stores for _ in range(2)]
        work += [store.obsolete_wakeups("vendor", 50) for store in stores]
        work += [
            other.acknowledge_wakeups("vendor", [(record.id, "y", None) for record in records]),
            other.pass_on_wakeups(
                [(record, claim.tenant_id, claim.seq) for record, claim in zip(left, claims, strict=False)]
            ),
            ledger.store.take_wakeups([record.id for record in left[:2]]),
        ]
        choice.shuffle(work)
        answers = await asyncio.gather(*work, return_exceptions=True)
        assert [answer for answer in answers if isinstance(answer, BaseException)] == []
        for claim in claims:
            await ledger.settle(claim)
    await ledger.store.issue_wakeups(DEMAND)
    with psycopg.connect(postgres_database.admin_url) as connection:
        (missing,) = connection.execute(
            "SELECT count(*) FROM cgk_jobs.runs r WHERE NOT EXISTS (SELECT FROM cgk_jobs.wakeups w "
            "WHERE w.tenant_id = r.tenant_id AND w.run_seq = r.seq AND NOT w.obsolete)"
        ).fetchone() or (None,)
        deadlocks = connection.execute("SELECT deadlocks FROM pg_stat_database WHERE datname = current_database()")
        assert (missing, deadlocks.fetchone()) == (0, (0,))
    other.close()


def moment(database: LedgerDatabase) -> int:
    """What the database's clock says."""
    with psycopg.connect(database.admin_url) as connection:
        (now,) = connection.execute("SELECT (extract(epoch FROM clock_timestamp()) * 1e6)::bigint").fetchone() or (0,)
    return int(now)


async def test_the_databases_clock_decides(postgres_database: LedgerDatabase) -> None:
    store = PostgresStore(postgres_database.worker_url, SystemClock())
    seat = await store.take_seat(("default",), 100, 15.0)
    driver = Driver(store, TestClock(), seat)
    await driver.listen(subscription("sync"))
    await driver.send()
    before = moment(postgres_database)
    (record,) = await store.issue_wakeups(DEMAND)
    assert before <= record.due_at <= moment(postgres_database)
    assert await store.acknowledge_wakeups("vendor", [(record.id, "x", None)]) == 1
    counted = (await store.count_wakeups())["vendor"]
    assert (counted.handed, counted.overdue) == (1, 1)
    assert set(await store.take_wakeups([record.id])) == {record.id}
    await seat.leave()
    store.close()
