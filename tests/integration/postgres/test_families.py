"""Families of runs while several processes end, make and cancel their members at the same moment."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable
from typing import Any, TypeVar

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.engine.postgres import acting, database
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, Claim, NewEvent, Parent, RunKey, Settlement, Subscription
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.store import WorkerSeat
from cgk_jobs.runtime.entries import JournalEntry, child_entry
from cgk_jobs.testing.clock import TestClock

T = TypeVar("T")
TASKS = {"parent": None, "child": None}


class Site:
    """A store with a worker's seat, as a process of its own would have it."""

    def __init__(self, store: PostgresStore, seat: WorkerSeat) -> None:
        self.store = store
        self.seat = seat

    async def claim(self, count: int = 100) -> list[Claim]:
        """Claims of one exchange."""
        return (await self.store.exchange(self.seat.id, [], Appetite(("default",), count, TASKS))).claims

    async def settle(self, *claims: Claim, state: State = "completed") -> int:
        """End attempts in one exchange; how many came too late."""
        items = [Settlement(claim, state, claim.attempt, "1" if state == "completed" else None) for claim in claims]
        return len((await self.store.exchange(self.seat.id, items, None)).stale)

    async def call(self, claim: Claim, indexes: range, size: int, concurrency: int | None = None) -> bool:
        """Call a part of the group ``map``."""
        entry = JournalEntry("map", None, 0, pending=size)
        children = [
            NewEvent(
                claim.tenant_id, "", 1, "{}", "child", nonce=claim.nonce,
                parent=Parent(claim.seq, claim.nonce, child_entry("map", index), claim.depth + 1),
            )
            for index in indexes
        ]  # fmt: skip
        return await self.store.spawn(claim, entry, children, first=indexes[0], concurrency=concurrency)

    async def parent(self) -> Claim:
        """A claimed run that calls."""
        await self.store.insert([NewEvent("acme", "begun", 1, "{}")])
        (claim,) = await self.claim()
        return claim

    async def state(self, claim: Claim) -> State:
        """As the run stands."""
        record = await self.store.reads.run(claim.tenant_id, claim.seq, claim.nonce)
        assert record is not None
        return record.state


@pytest.fixture
async def sites(postgres_database: LedgerDatabase) -> AsyncIterator[tuple[Site, Site]]:
    clock = TestClock()
    stores = [PostgresStore(postgres_database.worker_url, clock) for _ in range(2)]
    await stores[0].subscribe(
        [
            Subscription("parent", "begun", "default", 0, 0, None, ""),
            Subscription("child", "", "default", 0, 0, None, ""),
        ]
    )
    seats = [await store.take_seat(("default",), 100, 15.0) for store in stores]
    yield Site(stores[0], seats[0]), Site(stores[1], seats[1])
    for store in stores:
        store.close()


async def test_no_end_of_a_child_is_lost_on_a_parent_that_begins_to_wait(sites: tuple[Site, Site]) -> None:
    one, other = sites
    for _ in range(40):
        parent = await one.parent()
        assert await one.call(parent, range(2), 2)
        first, second = await other.claim()
        late = await asyncio.gather(
            one.settle(parent, state="waiting"), other.settle(first), one.settle(second, state="failed")
        )
        assert list(late) == [0, 0, 0]
        (again,) = await other.claim()
        assert again.seq == parent.seq, "both children have ended, so it goes on"
        assert await one.settle(again) == 0


class Lingering:
    """A step of a transaction after which it waits until somebody else waits for its locks, or is through."""

    task: asyncio.Task[Any]

    def __init__(self, database: LedgerDatabase) -> None:
        self._database = database
        self.reached = asyncio.Event()

    def after(
        self, step: Callable[..., Awaitable[T]], other: Callable[[], Awaitable[Any]]
    ) -> Callable[..., Awaitable[T]]:
        """``step``, then ``other`` until it is held up."""

        async def lingering(*args: Any, **options: Any) -> T:
            answer = await step(*args, **options)
            if not self.reached.is_set():
                self.reached.set()
                self.task = asyncio.ensure_future(other())
                while not self.task.done() and not await asyncio.to_thread(self._somebody_waits):
                    continue
            return answer

        return lingering

    def _somebody_waits(self) -> bool:
        with psycopg.connect(self._database.admin_url) as connection:
            row = connection.execute(
                "SELECT FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
            ).fetchone()
            return row is not None


async def test_a_child_that_ends_while_others_are_being_made_lets_one_of_them_go(
    sites: tuple[Site, Site], postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = sites
    parent = await one.parent()
    assert await one.call(parent, range(1), 2, 1)
    (first,) = await other.claim()
    lingering = Lingering(postgres_database)
    sending = one.store._sending
    monkeypatch.setattr(sending, "insert_in", lingering.after(sending.insert_in, lambda: other.settle(first)))
    assert await one.call(parent, range(1, 2), 2, 1)
    assert await lingering.task == 0
    assert await one.settle(parent, state="waiting") == 0
    (second,) = await one.claim()
    assert await one.settle(second) == 0
    assert [claim.seq for claim in await one.claim()] == [parent.seq]


@pytest.mark.parametrize("ending", ["cancelled", "completed"])
async def test_a_child_that_ends_while_its_parent_is_suspended_wakes_it(
    sites: tuple[Site, Site], postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch, ending: str
) -> None:
    one, other = sites
    parent = await one.parent()
    assert await one.call(parent, range(1), 1)
    (number,) = await one.store.children(parent.key, after=0, count=9)
    (made,) = await other.claim() if ending == "completed" else [parent]
    lingering = Lingering(postgres_database)

    async def end() -> None:
        if ending == "completed":
            assert await other.settle(made) == 0
        else:
            assert await other.store.cancel([RunKey("acme", number)]) == 1

    limits = one.store._limits
    monkeypatch.setattr(limits, "free", lingering.after(limits.free, end))
    assert await one.settle(parent, state="waiting") == 0
    await lingering.task
    assert [claim.seq for claim in await one.claim()] == [parent.seq]


async def test_a_limited_group_made_and_ended_at_the_same_moments_comes_to_its_end(sites: tuple[Site, Site]) -> None:
    one, other = sites
    parent = await one.parent()
    size, portion, limit = 120, 20, 4
    at_work: set[int] = set()
    most = 0
    ended = 0
    woken: list[Claim] = []

    async def make() -> None:
        for first in range(0, size, portion):
            assert await one.call(parent, range(first, first + portion), size, limit)
        assert await one.settle(parent, state="waiting") == 0

    async def work(site: Site) -> None:
        nonlocal most, ended
        while ended < size:
            found = await site.claim(2)
            woken.extend(claim for claim in found if claim.task == "parent")
            claims = [claim for claim in found if claim.task == "child"]
            at_work.update(claim.seq for claim in claims)
            most = max(most, len(at_work))
            if claims:
                # Before the ledger hears of it: whoever is let go then is not counted beside them.
                at_work.difference_update(claim.seq for claim in claims)
                assert await site.settle(*claims) == 0
                ended += len(claims)

    async with asyncio.timeout(60):
        await asyncio.gather(make(), work(one), work(other))
    assert 0 < most <= limit
    woken += await one.claim()
    assert [claim.seq for claim in woken] == [parent.seq]
    entries = {entry.name: entry for entry in await one.store.journal(woken[0])}
    assert len(entries) == size + 1
    assert all(entry.pending == 0 for entry in entries.values())


async def test_a_family_that_is_cancelled_while_its_children_end_ends_whole(sites: tuple[Site, Site]) -> None:
    one, other = sites
    for _ in range(20):
        parent = await one.parent()
        assert await one.call(parent, range(8), 8, 6)
        children = await other.claim()
        assert len(children) == 6
        assert await one.settle(parent, state="waiting") == 0
        halves = (children[:3], children[3:])
        async with asyncio.timeout(30):
            await asyncio.gather(
                one.store.cancel([parent.key]),
                other.settle(*halves[0]),
                one.settle(*reversed(halves[1]), state="failed"),
                other.store.cancel([RunKey(claim.tenant_id, claim.seq) for claim in children]),
            )
        # Whoever was made ready in between is asked to end, or waits for nobody any more.
        for claim in await one.claim():
            await one.settle(claim, state="cancelled")
        numbers = await one.store.children(parent.key, after=0, count=99)
        assert len(numbers) == 8
        states = {await one.state(parent._replace(seq=number)) for number in (parent.seq, *numbers)}
        assert states <= FINAL


async def test_children_made_while_their_tree_is_looked_through_are_cancelled_too(
    sites: tuple[Site, Site], postgres_database: LedgerDatabase, monkeypatch: pytest.MonkeyPatch
) -> None:
    one, other = sites
    parent = await one.parent()
    assert await one.call(parent, range(2), 4)
    lingering = Lingering(postgres_database)
    monkeypatch.setattr(acting, "_below", lingering.after(acting._below, lambda: one.call(parent, range(2, 4), 4)))
    assert await other.store.cancel([parent.key]) == 5
    assert await lingering.task
    numbers = await one.store.children(parent.key, after=0, count=9)
    assert [await one.state(parent._replace(seq=number)) for number in numbers] == ["cancelled"] * 4
    assert await one.settle(parent, state="cancelled") == 0


@pytest.mark.parametrize("size", [2, 700])
async def test_failed_children_are_retried_in_as_many_statements_however_many(
    sites: tuple[Site, Site], monkeypatch: pytest.MonkeyPatch, size: int
) -> None:
    one, other = sites
    parent = await one.parent()
    assert await one.call(parent, range(size), size)
    assert await one.settle(parent, state="waiting") == 0
    children = await other.claim(size)
    assert await other.settle(*children, state="failed") == 0
    (again,) = await one.claim()
    assert await one.settle(again, state="failed") == 0
    asked: list[str] = []
    fetch = database._Statements.rows

    async def counted(work: database._Statements, name: str, *values: Any) -> Any:
        asked.append(name)
        return await fetch(work, name, *values)

    monkeypatch.setattr(database._Statements, "rows", counted)
    assert await one.store.retry(parent.key, "default", 0)
    assert asked.count("revive_runs") == 2, "the children, and their caller"
    assert len(asked) < 12
    assert len(await other.claim(size + 1)) == size + 1


async def test_ten_thousand_children_are_made_and_ended(sites: tuple[Site, Site]) -> None:
    one, other = sites
    parent = await one.parent()
    for first in range(0, 10_000, 1_000):
        assert await one.call(parent, range(first, first + 1_000), 10_000)
    assert await one.settle(parent, state="waiting") == 0
    ended = 0
    while ended < 10_000:
        claims = await other.claim(1_000)
        assert claims
        assert await other.settle(*claims) == 0
        ended += len(claims)
    assert [claim.seq for claim in await one.claim()] == [parent.seq]
