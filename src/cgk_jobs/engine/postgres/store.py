"""The ledger on PostgreSQL, behind the store's boundary."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any
from weakref import WeakKeyDictionary

from cgk_jobs.clock import Clock
from cgk_jobs.engine.postgres import acting, erasure, journal, schedules, seats, tenants
from cgk_jobs.engine.postgres.charging import ChargingApart
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.desk import Desk
from cgk_jobs.engine.postgres.doorbell import Bell
from cgk_jobs.engine.postgres.endings import Endings
from cgk_jobs.engine.postgres.flow_arrivals import check_moments
from cgk_jobs.engine.postgres.flowing import FlowGate
from cgk_jobs.engine.postgres.joining.binding import Binding
from cgk_jobs.engine.postgres.joining.sending import JoinedSending
from cgk_jobs.engine.postgres.joining.steps import JoinedSteps, StepTransaction
from cgk_jobs.engine.postgres.limits import LimitBook
from cgk_jobs.engine.postgres.partitions import Days
from cgk_jobs.engine.postgres.placing import PUBLISH_EVERY, Placing
from cgk_jobs.engine.postgres.quotas import put_quotas
from cgk_jobs.engine.postgres.reads import PostgresReads
from cgk_jobs.engine.postgres.seats import Rescued
from cgk_jobs.engine.postgres.sending import Sending
from cgk_jobs.engine.postgres.spawning import children_of, spawn
from cgk_jobs.engine.postgres.upkeep import PostgresUpkeep
from cgk_jobs.engine.postgres.waits import WaitBook
from cgk_jobs.engine.postgres.wakeups import WakeupBook
from cgk_jobs.engine.quotas import Crossing, TenantQuotas
from cgk_jobs.engine.records import (
    Appetite,
    Claim,
    Exchange,
    LogLine,
    NewEvent,
    RunKey,
    ScheduleRecord,
    Settlement,
    Stored,
    Subscription,
    TenantRecord,
)
from cgk_jobs.engine.store import Hints, WorkerSeat
from cgk_jobs.engine.wakeups import ActiveProvider, Demand, Outstanding, WakeupRecord
from cgk_jobs.errors import DuplicateKey, JobsError
from cgk_jobs.runtime.entries import EventWait, JournalEntry

__all__ = ["PostgresStore"]

_logger = logging.getLogger("cgk_jobs.engine")


class PostgresStore:
    """A database, shared by any number of processes on any number of machines. ``url`` is the worker's login."""

    def __init__(self, url: str, clock: Clock) -> None:
        self._clock = clock
        self._database = Database(url, clock)
        self._configuration = Configuration(self._database)
        self._placing = Placing(lambda: self._configuration.weights)
        self._limits = LimitBook(self._placing, self._configuration)
        self._endings = Endings(self._configuration, self._placing, self._limits)
        self._waits = WaitBook(self._database, self._configuration, self._endings.families)
        gate = FlowGate(self._configuration, self._placing, self._endings)
        self._desk = Desk(
            self._database, clock, self._configuration, self._placing, self._limits, self._endings, self._waits, gate
        )
        self._sending = Sending(
            self._database,
            self._configuration,
            self._placing,
            self._waits,
            gate,
            self._sent,
        )
        self._charging_apart = ChargingApart(self._database, self._configuration)
        self._bell = Bell(self._database)
        binding = Binding(self._database)
        self._joined_sending = JoinedSending(self._database, binding, self._committed)
        self._joined_steps = JoinedSteps(self._database, binding)
        self._readying: set[asyncio.Task[None]] = set()
        days = Days(self._database)
        self._seats = seats.Seats(self._database, self._limits, self._endings, days, self._rescued)
        self._upkeep = PostgresUpkeep(
            self._database, self._configuration, self._placing, self._limits, self._endings, days
        )
        self._wakeups = WakeupBook(self._database)
        self.reads = PostgresReads(self._database)
        self._listeners: list[Hints] = []
        self._publishing: WeakKeyDictionary[asyncio.AbstractEventLoop, asyncio.Task[None]] = WeakKeyDictionary()

    # -- hints -------------------------------------------------------------------------------------------------------

    def _sent(self, made_ready: int, first_due: int | None) -> None:
        self._desk.due_at(first_due)
        self._tell(made_ready, first_due, ())

    def _tell(self, made_ready: int, first_due: int | None, finished: Sequence[int]) -> None:
        if finished:
            for listener in tuple(self._listeners):
                listener.finished(finished)
        if made_ready or first_due is not None:
            taken = False
            for listener in tuple(self._listeners):
                taken = listener.ready() or taken
            if not taken:
                self.ring()
        self._publish_soon()

    def ring(self) -> None:
        """Wake workers of other processes."""
        self._bell.ring()

    def listen(self, hints: Hints) -> Callable[[], None]:
        self._listeners.append(hints)

        def stop() -> None:
            self._listeners.remove(hints)

        return stop

    def _publish_soon(self) -> None:
        if not self._placing.has_news:
            return
        loop = asyncio.get_running_loop()
        running = self._publishing.get(loop)
        if running is None or running.done():
            self._publishing[loop] = loop.create_task(self._publish(), name="cgk-jobs-clocks")

    async def _publish(self) -> None:
        while self._placing.has_news:
            await asyncio.sleep(PUBLISH_EVERY)
            try:
                await self._placing.publish(self._database)
            except (JobsError, OSError) as error:
                # Fair order waits with everything else until the ledger answers.
                _logger.debug("the clocks were not published: %s", error)
                return

    def watch_quotas(self, told: Callable[[Crossing], None]) -> Callable[[], None]:
        self._sending.quota_watchers.append(told)
        return lambda: self._sending.quota_watchers.remove(told)

    # -- sending -----------------------------------------------------------------------------------------------------

    async def agree_on_time(self) -> None:
        await self._desk.agree_on_time()

    async def insert(self, events: Sequence[NewEvent]) -> list[Stored]:
        return await self._sending.insert(events)

    async def insert_in(self, connection: Any, events: Sequence[NewEvent]) -> list[Stored | DuplicateKey]:
        await self._charging_apart.look()
        check_moments(self._configuration, events, self._clock.micros())
        self._sending.tell_quotas(await self._charging_apart.charge(events))
        return await self._joined_sending.insert(connection, events)

    def _committed(self) -> None:
        """A transaction of the application's with sends in it has ended."""
        task = asyncio.get_running_loop().create_task(self._make_due_ready(), name="cgk-jobs-committed")
        self._readying.add(task)
        task.add_done_callback(self._readying.discard)

    async def _make_due_ready(self) -> None:
        self._desk.due_at(self._clock.micros())
        try:
            await self._desk.exchange(0, (), None)
        except (JobsError, OSError) as error:
            # Only sooner than by the next look of a worker.
            _logger.debug("runs of a transaction were not made ready at once: %s", error)
            return
        self._tell(1, None, ())

    async def subscribe(self, subscriptions: Sequence[Subscription]) -> None:
        made_ready = await tenants.subscribe(self._database, self._placing, self._configuration, subscriptions)
        self._tell(made_ready, None, ())

    # -- attempts ----------------------------------------------------------------------------------------------------

    async def exchange(self, worker: int, settlements: Sequence[Settlement], appetite: Appetite | None) -> Exchange:
        exchange, settled = await self._desk.exchange(worker, settlements, appetite)
        if exchange.claims:
            self._database.stir()
        self._tell(settled.made_ready, settled.first_due, settled.finished)
        return exchange

    async def record_step(
        self,
        claim: Claim,
        name: str,
        result: str | None,
        *,
        place: int | None = None,
        ordered: bool = False,
        undoable: bool = False,
        failed: bool = False,
        pending: int = 0,
    ) -> bool:
        return await journal.record(
            self._database, self._database.now, claim, name, result,
            place=place, ordered=ordered, undoable=undoable, failed=failed, pending=pending,
        )  # fmt: skip

    async def journal(self, claim: Claim) -> list[JournalEntry]:
        return await journal.entries(self._database, claim)

    async def record_step_in(self, connection: Any, claim: Claim, entry: JournalEntry) -> bool:
        """Journal a finished step in the open transaction of the application's; see ``JoinedSteps.record_in``."""
        return await self._joined_steps.record_in(connection, claim, entry)

    def step_transaction(self, connection: Any, claim: Claim) -> AbstractAsyncContextManager[StepTransaction]:
        """A transaction of the application's connection for one step; see ``JoinedSteps.transaction``."""
        return self._joined_steps.transaction(connection, claim)

    async def steps(self, claim: Claim) -> dict[str, str | None]:
        return await journal.steps(self._database, claim)

    async def write_progress(self, claim: Claim, progress: str) -> bool:
        return await journal.write_progress(self._database, claim, progress)

    async def write_metadata(self, claim: Claim, changes: str) -> bool:
        return await journal.write_metadata(self._database, claim, changes)

    async def append_log(self, claim: Claim, lines: Sequence[LogLine]) -> bool:
        return await journal.append_log(self._database, claim, lines)

    # -- workflows ---------------------------------------------------------------------------------------------------

    async def await_event(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> JournalEntry | None:
        return await self._waits.begin(claim, entry, wait)

    async def end_wait(self, claim: Claim, name: str, result: str) -> JournalEntry | None:
        return await self._waits.end(claim, name, result)

    async def spawn(
        self, claim: Claim, entry: JournalEntry, children: Sequence[NewEvent], *, first: int, concurrency: int | None
    ) -> bool:
        return await spawn(self._database, self._sending, claim, entry, children, first=first, concurrency=concurrency)

    async def children(self, run: RunKey, *, after: int, count: int) -> list[int]:
        return await children_of(self._database, run, after=after, count=count)

    # -- runs --------------------------------------------------------------------------------------------------------

    async def cancel(self, runs: Sequence[RunKey], *, tree: bool = True) -> int:
        cancelled = await acting.cancel(self._database, self._endings, runs, tree=tree)
        self._tell(cancelled.made_ready, None, cancelled.ended)
        return cancelled.count

    async def retry(self, run: RunKey, queue: str, lane: int) -> bool:
        done = await acting.retry(self._database, self._endings, self._placing, self._configuration, run, queue, lane)
        self._tell(int(done), None, ())
        return done

    async def replay(self, event: NewEvent, original: int, from_step: str | None) -> Stored:
        async def copy(work: Work, stored: list[Stored]) -> None:
            if from_step is not None:
                await acting.copy_steps(work, event.tenant_id, stored[0].run_seqs[0], original, from_step)

        (stored,) = await self._sending.insert_with([event], copy)
        return stored

    # -- workers -----------------------------------------------------------------------------------------------------

    async def take_seat(self, queues: Sequence[str], concurrency: int, lease: float) -> WorkerSeat:
        return await self._seats.take(queues, concurrency, lease)

    async def beat(self, worker: int) -> bool:
        return await self._seats.beat(worker)

    async def rescue(self, lease: float) -> int:
        # The lease of a dead worker is its own, and the database knows when it ends.
        return await self._seats.rescue()

    async def cancels_asked(self, worker: int) -> list[int]:
        return await self._seats.cancels_asked(worker)

    def _rescued(self, rescued: Rescued) -> None:
        self._desk.due_at(self._clock.micros() if rescued.count else None)
        self._tell(rescued.made_ready + rescued.count, None, rescued.ended)

    # -- tenants, queues, schedules ----------------------------------------------------------------------------------

    async def put_tenant(self, tenant: TenantRecord) -> None:
        self._tell(await tenants.put_tenant(self._database, self._placing, self._configuration, tenant), None, ())

    async def put_quotas(self, quotas: TenantQuotas) -> None:
        await put_quotas(self._database, self._configuration, quotas)

    async def purge(self, tenant_id: str, count: int) -> Mapping[str, int]:
        return await erasure.purge(self._database, self._limits, tenant_id, count)

    async def forget_tenant(self, tenant_id: str) -> None:
        await erasure.forget_tenant(self._database, self._configuration, tenant_id)

    async def pause(self, kind: str, name: str) -> None:
        await tenants.pause(self._database, self._configuration, kind, name)

    async def resume(self, kind: str, name: str) -> None:
        await tenants.resume(self._database, self._configuration, kind, name)
        self._tell(1, None, ())

    async def schedule(
        self, schedule_id: str, timezone: str, expression: str, *, declare: bool = True
    ) -> ScheduleRecord:
        return await schedules.schedule(self._database, schedule_id, timezone, expression, declare=declare)

    async def fire(
        self, before: ScheduleRecord, after: ScheduleRecord, events: Sequence[NewEvent]
    ) -> list[Stored] | None:
        fired = await schedules.fire(self._database, self._configuration, self._sending, before, after, events)
        if fired is None:
            return None
        stored, batches = fired
        self._sending.tell(batches)
        return stored

    # -- wake-ups ----------------------------------------------------------------------------------------------------

    async def active_provider(self, default: str) -> ActiveProvider:
        return await self._wakeups.active_provider(default)

    async def activate(self, name: str, draining: Sequence[str], version: int) -> ActiveProvider | None:
        return await self._wakeups.activate(name, draining, version)

    async def issue_wakeups(self, demand: Demand) -> list[WakeupRecord]:
        # First what is due becomes ready: where no worker looks by itself, a relay does.
        await self._desk.exchange(0, (), None)
        return await self._wakeups.issue(demand)

    async def acknowledge_wakeups(self, provider: str, receipts: Sequence[tuple[str, str, str | None]]) -> int:
        return await self._wakeups.acknowledge(provider, receipts)

    async def take_wakeups(self, ids: Sequence[str]) -> dict[str, WakeupRecord]:
        return await self._wakeups.take(ids)

    async def pass_on_wakeups(self, passed: Sequence[tuple[WakeupRecord, str, int]]) -> None:
        await self._wakeups.pass_on(passed)

    async def obsolete_wakeups(self, provider: str, count: int) -> list[WakeupRecord]:
        return await self._wakeups.obsolete(provider, count)

    async def list_wakeups(self, provider: str, after: str, count: int) -> list[WakeupRecord]:
        return await self._wakeups.records(provider, after, count)

    async def drop_wakeups(self, ids: Sequence[str]) -> int:
        return await self._wakeups.drop(ids)

    async def first_seen(self, key: str, until: int) -> bool:
        return await self._wakeups.first_seen(key, until)

    async def was_seen(self, key: str) -> bool:
        return await self._wakeups.was_seen(key)

    async def take_lease(self, name: str, seconds: float) -> int | None:
        return await self._wakeups.take_lease(name, seconds)

    async def drop_lease(self, name: str, lease: int | None) -> bool:
        return await self._wakeups.drop_lease(name, lease)

    async def count_wakeups(self) -> Mapping[str, Outstanding]:
        return await self._wakeups.count()

    # -- upkeep ------------------------------------------------------------------------------------------------------

    async def expire(self) -> int:
        expired = await self._upkeep.expire()
        self._tell(expired.made_ready, None, expired.ended)
        return len(expired.ended)

    async def prune(self, before: int, count: int) -> int:
        return await self._upkeep.prune(before, count)

    def close(self) -> None:
        for task in (*self._publishing.values(), *self._readying):
            _cancel(task)
        self._database.close()


def _cancel(task: asyncio.Task[None]) -> None:
    loop = task.get_loop()
    if loop.is_closed() or task.done():
        return
    with contextlib.suppress(RuntimeError):  # the loop ended meanwhile, and the task with it
        loop.call_soon_threadsafe(task.cancel)
