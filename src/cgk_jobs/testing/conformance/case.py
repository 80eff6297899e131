"""What the suites of a store share: how one is made, and a driver that speaks to it as workers and clients do."""

from __future__ import annotations

from collections.abc import AsyncIterator, Mapping, Sequence
from pathlib import Path
from typing import Any

import pytest

from cgk_jobs.clock import Clock
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import (
    Appetite,
    Budgets,
    Claim,
    Exchange,
    NewEvent,
    RunRecord,
    Settlement,
    Stored,
    Subscription,
)
from cgk_jobs.engine.states import State
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.testing.clock import TestClock

__all__ = ["SECOND", "Driver", "StoreCase", "subscription"]

SECOND = 1_000_000
"""Microseconds."""


def subscription(task: str, event: str = "placed", **changes: Any) -> Subscription:
    """A task that listens to an event, with plain defaults."""
    return Subscription(task, event, "default", 0, 0, None, "")._replace(**changes)


class Driver:
    """A store with one worker's seat, and short ways to send, claim, settle and look."""

    def __init__(self, store: Store, clock: TestClock, seat: WorkerSeat) -> None:
        self.store = store
        self.clock = clock
        self.seat = seat
        self.tasks: dict[str, Budgets | None] = {}

    async def listen(self, *subscriptions: Subscription) -> None:
        """Declare tasks; the driver's worker knows them from now on."""
        await self.store.subscribe(subscriptions)
        self.tasks |= {row.task: None for row in subscriptions}

    async def send(self, tenant_id: str = "acme", name: str = "placed", payload: str = "{}", **options: Any) -> Stored:
        """Store one event; options are the fields of ``NewEvent``, and ``delay`` in seconds."""
        delay = options.pop("delay", None)
        if delay is not None:
            options["due_at"] = self.clock.micros() + round(delay * SECOND)
        (stored,) = await self.store.insert([NewEvent(tenant_id, name, 1, payload)._replace(**options)])
        return stored

    async def look(
        self,
        count: int = 100,
        *,
        settlements: Sequence[Settlement] = (),
        seat: WorkerSeat | None = None,
        queues: Sequence[str] = ("default",),
        tasks: Mapping[str, Budgets | None] | None = None,
    ) -> Exchange:
        """One exchange of a worker."""
        appetite = Appetite(queues, count, self.tasks if tasks is None else tasks)
        return await self.store.exchange((seat or self.seat).id, settlements, appetite)

    async def claim(self, count: int = 100, **options: Any) -> list[Claim]:
        """The claims of one exchange."""
        return (await self.look(count, **options)).claims

    async def settle(self, claim: Claim, state: State = "completed", **changes: Any) -> bool:
        """End an attempt; whether it was written."""
        item = Settlement(claim, state, claim.attempt)._replace(**changes)
        return not (await self.store.exchange(self.seat.id, [item], None)).stale

    async def run(self, stored: Stored | Claim) -> RunRecord:
        """The first run of a send, or that of a claim, as it stands."""
        seq = stored.seq if isinstance(stored, Claim) else stored.run_seqs[0]
        record = await self.store.reads.run(None, seq, stored.nonce)
        assert record is not None, f"run {seq} is not in the ledger"
        return record

    async def state(self, stored: Stored | Claim) -> State:
        """The state of the run."""
        return (await self.run(stored)).state

    async def counts(self, tenant_id: str | None = None) -> dict[State, int]:
        """Runs by state."""
        return await self.store.reads.count(RunFilter(tenant_id))

    async def failed(self, stored: Stored) -> Claim:
        """Claim the run of ``stored`` and let it fail for good."""
        (claim,) = [claim for claim in await self.claim() if claim.seq == stored.run_seqs[0]]
        assert await self.settle(claim, "failed", error="ValueError: no", outcome="failed")
        return claim


class StoreCase:
    """Base of the suites. A store's author subclasses ``StoreConformance`` and gives these two methods::

        class TestMyStore(StoreConformance):
            def make_store(self, folder, clock):
                return MyStore(folder / "ledger", clock)

            async def bury(self, store, seat): ...

    The tests are coroutines: run them with pytest-asyncio in auto mode, or anyio.
    """

    numbers_in_one_place = True
    """Capability: events get rising numbers even while the clock steps back, as one writer gives them all."""

    def make_store(self, folder: Path, clock: Clock) -> Store:
        """A store on the ledger in ``folder``; called twice with one folder it gives two objects on one ledger."""
        raise NotImplementedError(f"{type(self).__name__}.make_store(folder, clock) makes the store to be tested")

    async def bury(self, store: Store, seat: WorkerSeat) -> None:
        """Make it look to ``store`` as if the process that has ``seat`` had been killed."""
        raise NotImplementedError(f"{type(self).__name__}.bury(store, seat) lets a worker look dead")

    @pytest.fixture
    def clock(self) -> TestClock:
        """The clock of the store under test."""
        return TestClock()

    @pytest.fixture
    async def ledger(self, tmp_path: Path, clock: TestClock) -> AsyncIterator[Driver]:
        """A driver of a fresh store whose worker knows one task, ``sync``, that listens to ``placed``."""
        store = self.make_store(tmp_path, clock)
        seat = await store.take_seat(("default",), 100, 15.0)
        driver = Driver(store, clock, seat)
        await driver.listen(subscription("sync"))
        yield driver
        await seat.leave()
        store.close()
