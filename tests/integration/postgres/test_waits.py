"""Waits for events whose senders commit before, after and while the wait begins."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from typing import Any

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres.database import Work
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Claim, NewEvent, Settlement, Stored, Subscription
from cgk_jobs.engine.states import State
from cgk_jobs.runtime.entries import EventWait, JournalEntry
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.wire.json import loads

APPETITE = Appetite(("default",), 100, {"waiter": None, "listener": None})


@pytest.fixture
async def stores(postgres_database: LedgerDatabase) -> AsyncIterator[tuple[PostgresStore, PostgresStore]]:
    clock = TestClock()
    one, other = (PostgresStore(postgres_database.worker_url, clock) for _ in range(2))
    await one.subscribe([Subscription("waiter", "begun", "default", 0, 0, None, "")])
    yield one, other
    one.close()
    other.close()


async def begun(store: PostgresStore) -> tuple[int, Claim]:
    seat = await store.take_seat(("default",), 100, 15.0)
    await store.insert([NewEvent("acme", "begun", 1, "{}")])
    (claim,) = (await store.exchange(seat.id, [], APPETITE)).claims
    return seat.id, claim


async def wait(store: PostgresStore, claim: Claim, wanted: int = 1) -> JournalEntry | None:
    entry = JournalEntry("w", None, 0, pending=1)
    return await store.await_event(claim, entry, EventWait("paid", "n", f"[{wanted}]", claim.event_seq))


def paid(number: int = 1) -> NewEvent:
    return NewEvent("acme", "paid", 1, f'{{"n":{number}}}')


def payload(entry: JournalEntry | None) -> Any:
    assert entry is not None
    return None if entry.pending else loads(entry.result or "")["payload"]


async def suspend(store: PostgresStore, seat: int, claim: Claim, state: State = "waiting") -> None:
    assert not (await store.exchange(seat, [Settlement(claim, state, 1)], None)).stale


@pytest.mark.parametrize("listened", [True, False])
async def test_the_first_wait_of_its_kind_lets_senders_finish_that_did_not_know_of_it(
    stores: tuple[PostgresStore, PostgresStore], listened: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = stores
    if listened:
        await one.subscribe([Subscription("listener", "paid", "default", 0, 0, None, "")])
    _, claim = await begun(one)
    stored, go_on = asyncio.Event(), asyncio.Event()

    async def linger(work: Work, _: list[Stored]) -> None:
        stored.set()
        await go_on.wait()

    sending = asyncio.create_task(other._sending.insert_with([paid()], linger))
    await stored.wait()
    looked_for: list[list[str] | None] = []
    rows = one._database.rows

    async def counted(name: str, *values: Any) -> Any:
        if name == "old_senders":
            looked_for.append(values[0])
            if len(looked_for) == 2:
                go_on.set()
        return await rows(name, *values)

    monkeypatch.setattr(one._database, "rows", counted)
    waiting = asyncio.create_task(wait(one, claim))
    # Should it not look for the sender at all, the test goes on too.
    waiting.add_done_callback(lambda _: go_on.set())
    assert payload(await waiting) == {"n": 1}
    assert looked_for[0] is None
    assert looked_for[1]
    await sending


@pytest.mark.parametrize("isolation", ["READ COMMITTED", "REPEATABLE READ"])
@pytest.mark.parametrize("listened", [True, False])
@pytest.mark.parametrize("wait_begins", ["before the commit", "after the commit"])
async def test_an_event_of_the_applications_own_transaction_counts_from_its_commit(
    stores: tuple[PostgresStore, PostgresStore],
    postgres_database: LedgerDatabase,
    isolation: str,
    listened: bool,
    wait_begins: str,
) -> None:
    one, other = stores
    if listened:
        await one.subscribe(
            [Subscription(f"listener-{number}", "paid", "default", 0, 0, None, "") for number in range(2)]
        )
    seat, claim = await begun(one)
    async with await psycopg.AsyncConnection.connect(postgres_database.tenant_url) as connection:
        await connection.execute(f"BEGIN ISOLATION LEVEL {isolation}".encode())
        await connection.execute("SELECT 1")
        await other.insert_in(connection, [paid(), paid(2)])
        if wait_begins == "before the commit":
            assert payload(await wait(one, claim)) is None
            await suspend(one, seat, claim)
        await connection.commit()
    if wait_begins == "after the commit":
        assert payload(await wait(one, claim)) == {"n": 1}
    else:
        (again,) = [claim for claim in (await one.exchange(seat, [], APPETITE)).claims if claim.task == "waiter"]
        assert [payload(entry) for entry in await one.journal(again)] == [{"n": 1}]
    # However often somebody looks, it is told once, and another wait finds it later.
    for store in (other, one, other):
        await store.exchange(0, [], None)
    _, later = await begun(other)
    entry = JournalEntry("w", None, 0, pending=1)
    assert payload(await other.await_event(later, entry, EventWait("paid", "n", "[2]", claim.event_seq))) == {"n": 2}
    with psycopg.connect(postgres_database.admin_url) as admin:
        assert admin.execute("SELECT count(*) FROM cgk_jobs.unrouted_events WHERE arriving").fetchone() == (0,)
        states = "SELECT DISTINCT state FROM cgk_jobs.runs WHERE event_name = 'paid'"
        assert admin.execute(states).fetchall() == ([("queued",)] if listened else [])


async def test_events_and_waits_of_the_same_moment_meet(stores: tuple[PostgresStore, PostgresStore]) -> None:
    one, other = stores
    count = 40
    seat, first = await begun(one)
    await one.insert([NewEvent("acme", "begun", 1, "{}") for _ in range(count - 1)])
    claims = [first, *(await one.exchange(seat, [], APPETITE)).claims]
    assert len(claims) == count

    async def begin(number: int) -> None:
        entry = await wait(one if number % 2 else other, claims[number], number)
        assert entry is not None
        await suspend(one, seat, claims[number], "waiting" if entry.pending else "queued")

    async def send(number: int) -> None:
        await (other if number % 3 else one).insert([paid(number)])

    async with asyncio.timeout(60):
        await asyncio.gather(*[act(number) for number in range(count) for act in (begin, send)])
    ready = (await other.exchange((await other.take_seat(("default",), 100, 15.0)).id, [], APPETITE)).claims
    assert {claim.seq for claim in ready} == {claim.seq for claim in claims}
    for claim in ready:
        (entry,) = await one.journal(claim)
        assert payload(entry) is not None


async def test_only_awaited_events_are_sent_with_care(
    stores: tuple[PostgresStore, PostgresStore], monkeypatch: pytest.MonkeyPatch
) -> None:
    one, _ = stores
    _, claim = await begun(one)
    await wait(one, claim)
    transactions: list[object] = []
    retried = one._database.retried

    async def counted(verb: Any) -> Any:
        transactions.append(verb)
        return await retried(verb)

    monkeypatch.setattr(one._database, "retried", counted)
    await one.insert([NewEvent("acme", "begun", 1, "{}")])
    await one.insert([NewEvent("acme", "shipped", 1, "{}")])
    assert not transactions, "one statement each, as if nobody ever waited"
    await one.insert([paid(7)])
    assert len(transactions) == 1


async def test_waits_and_marks_are_forgotten_with_what_they_belong_to(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    one, _ = stores
    seat, claim = await begun(one)
    await wait(one, claim)
    await one.insert([paid(7)])
    assert not (await one.exchange(seat, [Settlement(claim, "failed", 1)], None)).stale
    counts = "SELECT (SELECT count(*) FROM cgk_jobs.event_waits), (SELECT count(*) FROM cgk_jobs.event_marks)"
    with psycopg.connect(postgres_database.admin_url, autocommit=True) as admin:
        assert admin.execute(counts).fetchone() == (1, 1)
        clock = one._clock
        assert isinstance(clock, TestClock)
        clock.advance(86_400)
        assert await one.prune(clock.micros(), 100) == 1
        assert admin.execute(counts).fetchone() == (0, 0)


async def test_a_purge_takes_waits_and_marks_of_the_tenant_alone(
    stores: tuple[PostgresStore, PostgresStore], postgres_database: LedgerDatabase
) -> None:
    one, _ = stores
    _, claim = await begun(one)
    await wait(one, claim)
    await one.insert([paid(7), paid(7)._replace(tenant_id="globex")])
    while await one.purge("acme", 100):
        continue
    with psycopg.connect(postgres_database.admin_url) as admin:
        assert admin.execute("SELECT count(*) FROM cgk_jobs.event_waits").fetchone() == (0,)
        assert admin.execute("SELECT DISTINCT tenant_id FROM cgk_jobs.event_marks").fetchall() == [("globex",)]
