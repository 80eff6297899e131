"""A store, and a record of what passed through it: what was sent, who wrote for which tenant, when it is quiet."""

from __future__ import annotations

import asyncio
from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any, Literal, NoReturn, cast

from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.engine.records import Appetite, Claim, Exchange, NewEvent, Settlement, Stored
from cgk_jobs.engine.scheduler import TICK_EVENT
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.testing.drained import Tally
from cgk_jobs.testing.tenants import TenantWatch
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import loads

__all__ = ["Crash", "CrashPlan", "Recording", "RecordingStore", "SentEvent"]


class Crash(BaseException):
    """Unwinds a handler whose worker a test let die. A ``BaseException``, so that ``except Exception`` lets it pass."""


@dataclass(slots=True)
class CrashPlan:
    """Let the worker die at the ``step``-th step a task finishes from now on, before or after the step is journalled."""

    task: str
    step: int
    moment: Literal["before", "after"]
    seen: int = 0
    done: bool = False


@dataclass(frozen=True, slots=True)
class SentEvent:
    """One event as it was sent. ``task``: the task it was sent to alone. ``due_at``: not before then (UTC)."""

    tenant_id: str
    name: str
    task: str | None
    text: str = field(repr=False)
    run_ids: tuple[str, ...]
    key: str | None
    due_at: datetime | None
    priority: int | None
    tags: tuple[str, ...]

    @property
    def payload(self) -> dict[str, Any]:
        """What was sent, as a JSON-like dict."""
        return cast("dict[str, Any]", loads(self.text))


if TYPE_CHECKING:
    _Recorded = SqliteStore
else:
    _Recorded = object


class Recording(_Recorded):
    """Goes before a store's class among the bases of a harness's store, which behaves as the one it records."""

    def __init__(self, *place: Any) -> None:
        super().__init__(*place)
        self.sent: list[SentEvent] = []
        self.watch = TenantWatch()
        self.tally = Tally()
        self.plans: list[CrashPlan] = []
        self.crashed = False
        """A planned crash happened and no new worker has been started since."""
        self.next_due: int | None = None
        """When something is due next, as of the last exchange (microseconds)."""
        self.exchanges = 0
        """Exchanges begun."""
        self.in_flight = 0
        """Exchanges begun and not answered: they may carry endings that no worker shows any more."""
        self._quiet_at = 0
        self._rested = asyncio.Event()
        self._stirred = asyncio.Event()

    # -- what was sent -----------------------------------------------------------------------------------------------

    async def insert(self, events: Sequence[NewEvent]) -> list[Stored]:
        """As the store's; notes what was sent and by whom."""
        for event in events:
            self.watch.wrote(event.tenant_id, "sent " + (event.name or event.task or ""))
        stored = await super().insert(events)
        for event, one in zip(events, stored, strict=True):
            if event.name != TICK_EVENT and not one.duplicate and one.refused is None:
                self.sent.append(_sent_event(event, one))
        return stored

    # -- when it is quiet --------------------------------------------------------------------------------------------

    async def exchange(self, worker: int, settlements: Sequence[Settlement], appetite: Appetite | None) -> Exchange:
        """As the store's; counts endings and notices when a worker looked and found nothing."""
        self.exchanges += 1
        number = self.exchanges
        self.in_flight += 1
        try:
            answer = await super().exchange(worker, settlements, appetite)
        finally:
            self.in_flight -= 1
        stale = {(claim.seq, claim.token) for claim in answer.stale}
        self.tally.settled(item for item in settlements if (item.claim.seq, item.claim.token) not in stale)
        self.next_due = answer.next_due
        if appetite is not None and appetite.count > 0 and not answer.claims and not answer.more:
            self._quiet_at = number
            self._rested.set()
        return answer

    def stir(self) -> None:
        """Let whoever follows the clock, or waits for quiet, look again."""
        self._stirred.set()
        self._rested.set()

    async def stirred(self) -> None:
        """Wait for :meth:`stir`."""
        await self._stirred.wait()
        self._stirred.clear()

    async def looked_after(self, exchange: int) -> bool:
        """Wait until a worker has looked for work in a later exchange and found none. False: a crash came first."""
        while self._quiet_at <= exchange and not self.crashed:
            self._rested.clear()
            await self._rested.wait()
        return not self.crashed

    # -- what an attempt writes --------------------------------------------------------------------------------------

    async def record_step(self, claim: Claim, name: str, result: str | None, **options: Any) -> bool:
        """As the store's; the place where planned crashes happen."""
        self.watch.wrote(claim.tenant_id, f"step {name}", claim)
        plan = self._due_plan(claim)
        if plan is not None and plan.moment == "before":
            await self._crash(claim, plan)
        landed = await super().record_step(claim, name, result, **options)
        if plan is not None:
            await self._crash(claim, plan)
        return landed

    async def write_progress(self, claim: Claim, progress: str) -> bool:
        """As the store's."""
        self.watch.wrote(claim.tenant_id, "progress", claim)
        return await super().write_progress(claim, progress)

    async def write_metadata(self, claim: Claim, changes: str) -> bool:
        """As the store's."""
        self.watch.wrote(claim.tenant_id, "metadata", claim)
        return await super().write_metadata(claim, changes)

    async def bury(self, worker: int) -> None:
        """What the next process would do that finds this worker dead: all its runs are taken back, each spends an attempt."""
        await self._give_up(worker)

    def _due_plan(self, claim: Claim) -> CrashPlan | None:
        for plan in self.plans:
            if not plan.done and plan.task == claim.task:
                plan.seen += 1
                if plan.seen == plan.step:
                    return plan
        return None

    async def _crash(self, claim: Claim, plan: CrashPlan) -> NoReturn:
        plan.done = True
        record = await self.reads.run(None, claim.seq, claim.nonce)
        worker = None if record is None else record.worker
        if worker is not None:
            await self.bury(worker)
        self.tally.crashed()
        self.crashed = True
        self.stir()
        raise Crash(f"the test let the worker die {plan.moment} step {plan.step} of {plan.task}")


class RecordingStore(Recording, SqliteStore):
    """A harness's store on SQLite."""

    def __init__(self, path: Path, clock: Clock) -> None:
        super().__init__(path, clock)


def _sent_event(event: NewEvent, stored: Stored) -> SentEvent:
    return SentEvent(
        tenant_id=event.tenant_id,
        name=event.name,
        task=event.task,
        text=event.payload,
        run_ids=tuple(to_id(*run) for run in stored.runs),
        key=event.key,
        due_at=None if event.due_at is None else from_micros(event.due_at),
        priority=event.priority,
        tags=tuple(event.tags.split(",")) if event.tags else (),
    )
