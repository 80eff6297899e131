"""Places of runs that become ready later than they were sent: their numbers are old, their turn is new."""

from __future__ import annotations

from collections.abc import AsyncIterator

import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Claim, NewEvent, Subscription, TenantRecord
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import Driver

SYNC = Subscription("sync", "placed", "default", 0, 0, None, "")


@pytest.fixture
async def ledger(postgres_database: LedgerDatabase) -> AsyncIterator[Driver]:
    clock = TestClock()
    store = PostgresStore(postgres_database.worker_url, clock)
    seat = await store.take_seat(("default",), 100, 15.0)
    driver = Driver(store, clock, seat)
    await driver.listen(SYNC)
    yield driver
    await seat.leave()
    store.close()


async def claims(ledger: Driver, count: int) -> list[Claim]:
    return [claim for _ in range(count) for claim in await ledger.claim(1)]


async def test_late_runs_of_higher_priority_cost_other_tenants_nothing(ledger: Driver) -> None:
    for _ in range(3):
        await ledger.send("loud", priority=5, delay=10)
    for tenant_id in ["loud", "calm"] * 10:
        await ledger.send(tenant_id)
    ledger.clock.advance(10)
    found = await claims(ledger, 6)
    assert sum(claim.tenant_id == "calm" for claim in found) == 3
    assert [claim.lane for claim in found if claim.tenant_id == "loud"] == [5, 5, 5]


async def test_a_late_run_does_not_give_way_to_what_went_ahead_before_it(ledger: Driver) -> None:
    late = await ledger.send("loud", delay=10)
    await ledger.send("loud", priority=5)
    for _ in range(5):
        await ledger.send("calm")
    ledger.clock.advance(10)
    found = await claims(ledger, 4)
    assert late.run_seqs[0] in [claim.seq for claim in found]
    assert sum(claim.tenant_id == "loud" for claim in found) == 2


async def test_runs_become_ready_in_the_order_they_are_due(ledger: Driver) -> None:
    delays = [30, 10, 20]
    stored = {delay: await ledger.send(delay=delay) for delay in delays}
    ledger.clock.advance(60)
    assert [claim.seq for claim in await claims(ledger, 3)] == [stored[delay].run_seqs[0] for delay in sorted(delays)]


async def test_priority_counts_in_a_process_that_knows_nothing_of_the_backlog(
    ledger: Driver, postgres_database: LedgerDatabase
) -> None:
    for _ in range(40):
        await ledger.send("loud")
    assert isinstance(ledger.store, PostgresStore)
    await ledger.store._placing.publish(ledger.store._database)
    other = PostgresStore(postgres_database.worker_url, ledger.clock)
    (stored,) = await other.insert([NewEvent("loud", "placed", 1, "{}", priority=5)])
    late = await ledger.send("loud", priority=5, delay=10)
    ledger.clock.advance(10)
    await other.exchange(ledger.seat.id, [], None)  # makes it ready
    assert {claim.seq for claim in await claims(ledger, 2)} == {stored.run_seqs[0], late.run_seqs[0]}
    other.close()


async def test_a_resumed_backlog_neither_rushes_nor_starves(ledger: Driver) -> None:
    paused = TenantRecord("big", added=True, paused=True)
    for _ in range(300):
        await ledger.send("big")
    await ledger.store.put_tenant(paused)
    for _ in range(50):
        await ledger.send("small")
    assert len(await claims(ledger, 20)) == 20
    await ledger.send("big")
    await ledger.store.put_tenant(paused._replace(paused=False))
    youngest = await ledger.send("big")
    found = await claims(ledger, 20)
    assert sum(claim.tenant_id == "big" for claim in found) == 10
    mine = [claim.seq for claim in found if claim.tenant_id == "big"]
    while more := [claim.seq for claim in await ledger.claim() if claim.tenant_id == "big"]:
        mine += more
    assert mine == sorted(mine)
    assert (len(mine), mine[-1]) == (302, youngest.run_seqs[0])
