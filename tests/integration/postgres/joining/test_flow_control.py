"""Sends in the application's own transaction to tasks with flow control: decided once it has committed."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs import InvalidEvent
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.tasks.flow import Batch, Debounce, Flow, Latest, Throttle, Unique
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import SECOND, Driver, subscription


class Desk(Driver):
    """A worker, and transactions of an application that send."""

    database: LedgerDatabase

    async def declare(self, flow: Flow, task: str = "flow") -> None:
        await self.listen(subscription(task, "flow", flow=flow.stored()))

    async def sent(self, connection: psycopg.Connection, number: int = 1, key: str = "a", **options: Any) -> Stored:
        event = NewEvent("acme", "flow", 1, f'{{"k":"{key}","n":{number}}}')._replace(**options)
        assert isinstance(self.store, PostgresStore)
        (stored,) = await self.store.insert_in(connection, [event])
        assert isinstance(stored, Stored)
        return stored

    async def committed(self, number: int = 1, key: str = "a", **options: Any) -> Stored:
        with psycopg.connect(self.database.tenant_url) as connection:
            return await self.sent(connection, number, key, **options)

    async def error(self, stored: Stored) -> str:
        run = await self.run(stored)
        assert run.state == "cancelled"
        return run.error or ""

    def rows(self, query: str) -> list[tuple[object, ...]]:
        with psycopg.connect(self.database.admin_url) as admin:
            return admin.execute(query.encode()).fetchall()


@pytest.fixture
async def ledger(postgres_database: LedgerDatabase) -> AsyncIterator[Desk]:
    clock = TestClock()
    store = PostgresStore(postgres_database.worker_url, clock)
    seat = await store.take_seat(("default",), 100, 15.0)
    desk = Desk(store, clock, seat)
    desk.database = postgres_database
    yield desk
    await seat.leave()
    store.close()


async def test_one_of_a_key_at_a_time(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    first, other = await ledger.committed(), await ledger.committed(key="b")
    second = await ledger.committed(2)
    claims = await ledger.claim()
    assert [claim.seq for claim in claims] == [first.run_seqs[0], other.run_seqs[0]]
    assert "stands for it" in await ledger.error(second)
    assert (await ledger.send(name="flow", payload='{"k":"a"}')).run_seqs == first.run_seqs
    await ledger.settle(claims[0])
    third = await ledger.committed(3)
    assert [claim.seq for claim in await ledger.claim()] == [third.run_seqs[0]]


async def test_of_two_transactions_at_once_one_is_the_first(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    url = ledger.database.tenant_url
    with psycopg.connect(url) as one, psycopg.connect(url) as two:
        early, late = await ledger.sent(one, 1), await ledger.sent(two, 2)
        two.commit()
        assert [claim.seq for claim in await ledger.claim()] == [late.run_seqs[0]]
    assert await ledger.claim() == []
    assert "stands for it" in await ledger.error(early)


async def test_a_rollback_leaves_nothing(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    with psycopg.connect(ledger.database.tenant_url) as connection:
        await ledger.sent(connection)
        connection.rollback()
    assert await ledger.claim() == []
    assert ledger.rows("SELECT FROM cgk_jobs.runs") == []
    kept = await ledger.committed()
    assert [claim.seq for claim in await ledger.claim()] == [kept.run_seqs[0]]


async def test_a_key_counts_for_a_while_after_it_has_ended(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k", period=60)))
    await ledger.committed()
    (claim,) = await ledger.claim()
    await ledger.settle(claim)
    second = await ledger.committed(2)
    assert await ledger.claim() == []
    assert "stands for it" in await ledger.error(second)
    ledger.clock.advance(61)
    third = await ledger.committed(3)
    assert [one.seq for one in await ledger.claim()] == [third.run_seqs[0]]


async def test_the_last_event_after_a_quiet_time(ledger: Desk) -> None:
    await ledger.declare(Flow(debounce=Debounce(10, by="k")))
    await ledger.committed(1, expires=5.0)
    assert await ledger.claim() == []
    ledger.clock.advance(6)
    second = await ledger.committed(2)
    assert await ledger.claim() == []
    assert "stands for it" in await ledger.error(second)
    ledger.clock.advance(9)
    assert await ledger.claim() == []
    ledger.clock.advance(1)
    (claim,) = await ledger.claim()
    assert claim.payload == '{"k":"a","n":2}'


async def test_several_events_in_one_run(ledger: Desk) -> None:
    await ledger.declare(Flow(batch=Batch(3, 60, by="k")))
    await ledger.committed(1)
    await ledger.send(name="flow", payload='{"k":"a","n":2}')
    assert await ledger.claim() == []
    await ledger.committed(3)
    (claim,) = await ledger.claim()
    assert sorted(claim.payload.replace('{"k":"a","n":', "").replace("}", "").strip("[]").split(",")) == ["1", "2", "3"]


async def test_what_is_too_much_is_dropped(ledger: Desk) -> None:
    await ledger.declare(Flow(throttle=Throttle(1, 60, by="k")))
    first, second, other = await ledger.committed(), await ledger.committed(2), await ledger.committed(1, "b")
    assert [claim.seq for claim in await ledger.claim()] == [first.run_seqs[0], other.run_seqs[0]]
    assert "takes 1 in 60 s" in await ledger.error(second)


async def test_a_newer_one_replaces_what_waits(ledger: Desk) -> None:
    await ledger.declare(Flow(latest=Latest("k")))
    first, second = await ledger.committed(1), await ledger.committed(2)
    assert [claim.seq for claim in await ledger.claim()] == [second.run_seqs[0]]
    assert "a newer run of its key" in await ledger.error(first)


async def test_one_after_the_other(ledger: Desk) -> None:
    await ledger.declare(Flow(ordered_by=("k",)))
    stored = [await ledger.committed(number) for number in range(3)]
    for one in stored:
        (claim,) = await ledger.claim()
        assert claim.seq == one.run_seqs[0]
        assert await ledger.claim() == []
        await ledger.settle(claim)


async def test_an_event_with_a_plain_listener_too(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    await ledger.listen(subscription("plain", "flow"))
    first, second = await ledger.committed(), await ledger.committed(2)
    assert (len(first.run_seqs), len(second.run_seqs)) == (2, 2)
    assert sorted(claim.task for claim in await ledger.claim()) == ["flow", "plain", "plain"]


async def test_a_delay_where_the_task_decides_the_start(ledger: Desk) -> None:
    await ledger.declare(Flow(debounce=Debounce(10, by="k")))
    with pytest.raises(InvalidEvent, match="without delay="):
        await ledger.committed(due_at=ledger.clock.micros() + SECOND)
    assert ledger.rows("SELECT FROM cgk_jobs.runs") == []


async def test_a_delayed_one_holds_its_key_from_the_commit_on(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    late = await ledger.committed(due_at=ledger.clock.micros() + 10 * SECOND)
    assert await ledger.claim() == []
    assert (await ledger.send(name="flow", payload='{"k":"a"}')).run_seqs == late.run_seqs
    ledger.clock.advance(10)
    assert [claim.seq for claim in await ledger.claim()] == [late.run_seqs[0]]


async def test_two_processes_decide_once(ledger: Desk) -> None:
    await ledger.declare(Flow(batch=Batch(1_000, 60, by="k")))
    other = PostgresStore(ledger.database.worker_url, ledger.clock)
    with psycopg.connect(ledger.database.tenant_url) as connection:
        for number in range(250):
            await ledger.sent(connection, number)
    await asyncio.gather(ledger.store.exchange(ledger.seat.id, (), None), other.exchange(ledger.seat.id, (), None))
    assert ledger.rows("SELECT events FROM cgk_jobs.runs") == [(250,)]
    assert ledger.rows("SELECT count(*) FROM cgk_jobs.finished_runs WHERE state = 'cancelled'") == [(249,)]
    other.close()


async def test_what_is_committed_after_the_decision_waits_for_the_next(
    ledger: Desk, monkeypatch: pytest.MonkeyPatch
) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    first = await ledger.committed()
    assert isinstance(ledger.store, PostgresStore)
    arrivals = ledger.store._desk._flow_arrivals
    decide, late = arrivals.decide, list[Stored]()

    async def decide_and_commit() -> tuple[int, list[int]]:
        decided = await decide()
        if not late:
            late.append(await ledger.committed(2))
        return decided

    monkeypatch.setattr(arrivals, "decide", decide_and_commit)
    assert [claim.seq for claim in await ledger.claim()] == [first.run_seqs[0]]
    assert await ledger.claim() == []
    assert "stands for it" in await ledger.error(late[0])


async def test_who_waits_for_the_event_is_told(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    with psycopg.connect(ledger.database.tenant_url) as connection:
        stored = await ledger.sent(connection)
        # Somebody begins to wait while the transaction is open.
        with psycopg.connect(ledger.database.admin_url) as admin:
            admin.execute("INSERT INTO cgk_jobs.awaited_events VALUES (1, 'flow', 'n')")
            admin.execute("UPDATE cgk_jobs.configuration SET version = version + 1")
    assert len(await ledger.claim()) == 1
    assert ledger.rows("SELECT event_seq, wanted FROM cgk_jobs.event_marks") == [(stored.event_seq, "[1]")]


async def test_a_quota_gets_back_what_made_no_run(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=100))
    for number in range(3):
        await ledger.committed(number)
    assert len(await ledger.claim()) == 1
    assert ledger.rows("SELECT runs FROM cgk_jobs.quota_counters") == [(1,)]


async def test_what_no_send_has_written_holds_nobody_up(ledger: Desk) -> None:
    await ledger.declare(Flow(unique=Unique("k")))
    broken = await ledger.committed(payload="{")
    good = await ledger.committed()
    assert [claim.seq for claim in await ledger.claim()] == [good.run_seqs[0]]
    assert "not JSON" in await ledger.error(broken)
