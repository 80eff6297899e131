"""The ledger on SQLite, behind the store's boundary."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import os
import socket
import uuid
from collections.abc import Awaitable, Callable, Mapping, Sequence
from contextlib import AbstractAsyncContextManager
from pathlib import Path
from typing import Any

from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.engine.orchestration import StepTransaction
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
    WorkerRecord,
)
from cgk_jobs.engine.sqlite.commits import Aftermath, GroupCommit
from cgk_jobs.engine.sqlite.doorbell import Doorbell, Ringer, doorbell_folder
from cgk_jobs.engine.sqlite.erasure import rewrite
from cgk_jobs.engine.sqlite.ledger import SqliteLedger
from cgk_jobs.engine.sqlite.liveness import LifeLock, is_stopped, may_be_locked
from cgk_jobs.engine.sqlite.own_transaction import own_transaction
from cgk_jobs.engine.sqlite.reads import SqliteReads
from cgk_jobs.engine.store import Hints
from cgk_jobs.engine.wakeups import ActiveProvider, Demand, Outstanding, WakeupRecord
from cgk_jobs.errors import DuplicateKey, Unsupported
from cgk_jobs.runtime.entries import EventWait, JournalEntry

__all__ = ["SqliteSeat", "SqliteStore"]

_logger = logging.getLogger("cgk_jobs.engine")

_LARGE = 2_000
"""Events in one call from which on the transaction is written in a thread, so that the loop goes on."""


class SqliteStore:
    """One file, shared by the processes of one machine. ``full_sync``: committed work survives a power failure too."""

    def __init__(self, path: Path, clock: Clock, *, full_sync: bool = False) -> None:
        self.path = path
        self._clock = clock
        self._commits = GroupCommit(path, clock, full_sync=full_sync, told=self._tell)
        self.reads = SqliteReads(path)
        self._listeners: list[Hints] = []
        self._quota_watchers: list[Callable[[Crossing], None]] = []
        self._ringer = Ringer()
        self._own_bells: set[str] = set()

    # -- hints -------------------------------------------------------------------------------------------------------

    def _tell(self, aftermath: Aftermath) -> None:
        for crossing in aftermath.crossings:
            for watcher in tuple(self._quota_watchers):
                watcher(crossing)
        if aftermath.finished:
            for listener in tuple(self._listeners):
                listener.finished(aftermath.finished)
        if aftermath.made_ready or aftermath.first_due is not None:
            taken = False
            for listener in tuple(self._listeners):
                taken = listener.ready() or taken
            if not taken:
                self.ring()

    def ring(self) -> None:
        """Wake workers of other processes."""
        bells = self._commits.doorbells
        if len(bells) > len(self._own_bells):
            self._ringer.paths = [path for path in bells if path not in self._own_bells]
            self._ringer.ring()

    def listen(self, hints: Hints) -> Callable[[], None]:
        self._listeners.append(hints)

        def stop() -> None:
            self._listeners.remove(hints)

        return stop

    def watch_quotas(self, told: Callable[[Crossing], None]) -> Callable[[], None]:
        self._quota_watchers.append(told)
        return lambda: self._quota_watchers.remove(told)

    # -- sending -----------------------------------------------------------------------------------------------------

    async def agree_on_time(self) -> None:
        """One machine, one clock."""

    def insert(self, events: Sequence[NewEvent]) -> Awaitable[list[Stored]]:
        if len(events) >= _LARGE:
            return asyncio.to_thread(self._commits.now, lambda ledger: ledger.insert(events))
        return self._commits.run(lambda ledger: ledger.insert(events))

    async def insert_in(self, connection: Any, events: Sequence[NewEvent]) -> list[Stored | DuplicateKey]:
        raise Unsupported(
            "send(connection=…)",
            "the ledger in SQLite",
            "Its ledger is a file of its own, which can't join your transaction: send after the commit, with key=.",
        )

    def subscribe(self, subscriptions: Sequence[Subscription]) -> Awaitable[None]:
        return self._commits.run(lambda ledger: ledger.subscribe(subscriptions))

    # -- attempts ----------------------------------------------------------------------------------------------------

    def exchange(
        self, worker: int, settlements: Sequence[Settlement], appetite: Appetite | None
    ) -> Awaitable[Exchange]:
        return self._commits.run(lambda ledger: ledger.desk.exchange(worker, settlements, appetite))

    def record_step(
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
    ) -> Awaitable[bool]:
        marks = {"ordered": ordered, "undoable": undoable, "failed": failed, "pending": pending}
        return self._commits.run(lambda ledger: ledger.journal.record(claim, name, result, place, **marks))

    def steps(self, claim: Claim) -> Awaitable[dict[str, str | None]]:
        return self._commits.run(lambda ledger: ledger.journal.steps(claim))

    def write_progress(self, claim: Claim, progress: str) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.write_progress(claim, progress))

    def write_metadata(self, claim: Claim, changes: str) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.write_metadata(claim, changes))

    def append_log(self, claim: Claim, lines: Sequence[LogLine]) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.append_log(claim, lines))

    # -- workflows ---------------------------------------------------------------------------------------------------

    def journal(self, claim: Claim) -> Awaitable[list[JournalEntry]]:
        return self._commits.run(lambda ledger: ledger.journal.entries(claim))

    def step_transaction(self, connection: Any, claim: Claim) -> AbstractAsyncContextManager[StepTransaction]:
        return own_transaction(connection, self.path, claim, self._clock)

    def await_event(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> Awaitable[JournalEntry | None]:
        return self._commits.run(lambda ledger: ledger.waits.begin(claim, entry, wait))

    def end_wait(self, claim: Claim, name: str, result: str) -> Awaitable[JournalEntry | None]:
        return self._commits.run(lambda ledger: ledger.waits.end(claim, name, result))

    def spawn(
        self, claim: Claim, entry: JournalEntry, children: Sequence[NewEvent], *, first: int, concurrency: int | None
    ) -> Awaitable[bool]:
        return self._commits.run(
            lambda ledger: ledger.families.spawn(claim, entry, children, first=first, concurrency=concurrency)
        )

    def children(self, run: RunKey, *, after: int, count: int) -> Awaitable[list[int]]:
        return self._commits.run(lambda ledger: ledger.families.children(run, after=after, count=count))

    # -- runs --------------------------------------------------------------------------------------------------------

    def cancel(self, runs: Sequence[RunKey], *, tree: bool = True) -> Awaitable[int]:
        return self._commits.run(lambda ledger: ledger.cancel(runs, tree=tree))

    def retry(self, run: RunKey, queue: str, lane: int) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.retry(run, queue, lane))

    def replay(self, event: NewEvent, original: int, from_step: str | None) -> Awaitable[Stored]:
        return self._commits.run(lambda ledger: ledger.replay(event, original, from_step))

    # -- workers -----------------------------------------------------------------------------------------------------

    async def take_seat(self, queues: Sequence[str], concurrency: int, lease: float) -> SqliteSeat:
        name = f"{os.getpid()}-{uuid.uuid4().hex[:12]}"
        folder = self.path.with_name(self.path.name + "-workers")
        lock = await asyncio.to_thread(LifeLock, folder / f"{name}.lock")
        bell = Doorbell(doorbell_folder(self.path), name)
        now = self._clock.micros()
        record = WorkerRecord(
            0, os.getpid(), socket.gethostname(), str(lock.path), bell.path, ",".join(queues), concurrency, now, now
        )
        if bell.path:
            self._own_bells.add(bell.path)
        try:
            number = await self._commits.run(lambda ledger: ledger.add_worker(record))
        except BaseException:
            self._own_bells.discard(bell.path)
            bell.close()
            lock.release()
            raise
        return SqliteSeat(self, number, lock, bell)

    async def leave_seat(self, worker: int, bell: str) -> None:
        """Forget a worker of this process that stopped in order."""
        await self._commits.run(lambda ledger: ledger.rescue(worker, spend_attempt=False))
        self._own_bells.discard(bell)

    def beat(self, worker: int) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.beat(worker))

    async def rescue(self, lease: float) -> int:
        count = 0
        for worker in await self.reads.workers():
            # Not by process number: in a container the dead worker had the number of the one that follows it.
            if self._is_dead(worker, lease):
                _logger.warning("worker %d (process %d) is dead: its runs are taken back", worker.id, worker.pid)
                count += await self._give_up(worker.id)
                _remove(worker.lock_file, worker.doorbell)
        return count

    def _give_up(self, worker: int) -> Awaitable[int]:
        return self._commits.run(lambda ledger: ledger.rescue(worker, spend_attempt=True))

    def _is_dead(self, worker: WorkerRecord, lease: float) -> bool:
        if not may_be_locked(Path(worker.lock_file)):
            return True
        silent = from_micros(self._clock.micros()) - from_micros(worker.beat_at)
        return silent.total_seconds() > lease and is_stopped(worker.pid)

    def cancels_asked(self, worker: int) -> Awaitable[list[int]]:
        return self._commits.run(lambda ledger: ledger.cancels_asked(worker))

    # -- tenants, queues, schedules ----------------------------------------------------------------------------------

    def put_tenant(self, tenant: TenantRecord) -> Awaitable[None]:
        return self._commits.run(lambda ledger: ledger.put_tenant(tenant))

    def put_quotas(self, quotas: TenantQuotas) -> Awaitable[None]:
        return self._commits.run(lambda ledger: ledger.put_quotas(quotas))

    async def purge(self, tenant_id: str, count: int) -> Mapping[str, int]:
        tables = await self.reads.tables_with_rows(tenant_id)
        if not tables:
            return {}
        # In a thread: some tables have to be looked through.
        return await asyncio.to_thread(self._commits.now, lambda ledger: ledger.purge(tenant_id, tables, count))

    async def forget_tenant(self, tenant_id: str) -> None:
        await self._commits.run(lambda ledger: ledger.forget_tenant(tenant_id))
        await asyncio.to_thread(rewrite, self.path)

    def pause(self, kind: str, name: str) -> Awaitable[None]:
        return self._commits.run(lambda ledger: ledger.pause(kind, name))

    def resume(self, kind: str, name: str) -> Awaitable[None]:
        return self._commits.run(lambda ledger: ledger.resume(kind, name))

    def schedule(
        self, schedule_id: str, timezone: str, expression: str, *, declare: bool = True
    ) -> Awaitable[ScheduleRecord]:
        return self._commits.run(lambda ledger: ledger.schedule(schedule_id, timezone, expression, declare=declare))

    def fire(
        self, before: ScheduleRecord, after: ScheduleRecord, events: Sequence[NewEvent]
    ) -> Awaitable[list[Stored] | None]:
        return self._commits.run(lambda ledger: ledger.fire(before, after, events))

    # -- wake-ups ----------------------------------------------------------------------------------------------------

    def active_provider(self, default: str) -> Awaitable[ActiveProvider]:
        return self._commits.run(lambda ledger: ledger.wakeups.active_provider(default))

    def activate(self, name: str, draining: Sequence[str], version: int) -> Awaitable[ActiveProvider | None]:
        return self._commits.run(lambda ledger: ledger.wakeups.activate(name, draining, version))

    def issue_wakeups(self, demand: Demand) -> Awaitable[list[WakeupRecord]]:
        return self._commits.run(lambda ledger: ledger.wakeups.issue(demand))

    def acknowledge_wakeups(self, provider: str, receipts: Sequence[tuple[str, str, str | None]]) -> Awaitable[int]:
        return self._commits.run(lambda ledger: ledger.wakeups.acknowledge(provider, receipts))

    def take_wakeups(self, ids: Sequence[str]) -> Awaitable[dict[str, WakeupRecord]]:
        return self._commits.run(lambda ledger: ledger.wakeups.take(ids))

    def pass_on_wakeups(self, passed: Sequence[tuple[WakeupRecord, str, int]]) -> Awaitable[None]:
        return self._commits.run(lambda ledger: ledger.wakeups.pass_on(passed))

    def obsolete_wakeups(self, provider: str, count: int) -> Awaitable[list[WakeupRecord]]:
        return self._commits.run(lambda ledger: ledger.wakeups.obsolete(provider, count))

    def list_wakeups(self, provider: str, after: str, count: int) -> Awaitable[list[WakeupRecord]]:
        return self._commits.run(lambda ledger: ledger.wakeups.records(provider, after, count))

    def drop_wakeups(self, ids: Sequence[str]) -> Awaitable[int]:
        return self._commits.run(lambda ledger: ledger.wakeups.drop(ids))

    def first_seen(self, key: str, until: int) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.first_seen(key, until))

    def was_seen(self, key: str) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.was_seen(key))

    def take_lease(self, name: str, seconds: float) -> Awaitable[int | None]:
        return self._commits.run(lambda ledger: ledger.take_lease(name, seconds))

    def drop_lease(self, name: str, lease: int | None) -> Awaitable[bool]:
        return self._commits.run(lambda ledger: ledger.drop_lease(name, lease))

    def count_wakeups(self) -> Awaitable[Mapping[str, Outstanding]]:
        return self._commits.run(lambda ledger: ledger.wakeups.count())

    # -- upkeep ------------------------------------------------------------------------------------------------------

    def expire(self) -> Awaitable[int]:
        return self._commits.run(SqliteLedger.expire)

    def prune(self, before: int, count: int) -> Awaitable[int]:
        return self._commits.run(lambda ledger: ledger.prune(before, count))

    def close(self) -> None:
        self._commits.close()
        self.reads.close()
        self._ringer.close()


def _remove(*paths: str) -> None:
    for path in filter(None, paths):
        with contextlib.suppress(OSError):
            Path(path).unlink(missing_ok=True)


class SqliteSeat:
    """A worker's place at the ledger."""

    def __init__(self, store: SqliteStore, number: int, lock: LifeLock, bell: Doorbell) -> None:
        self.id = number
        self._store = store
        self._lock = lock
        self._bell = bell

    def listen(self, ring: Callable[[], None]) -> None:
        self._bell.listen(ring)

    async def leave(self) -> None:
        try:
            await self._store.leave_seat(self.id, self._bell.path)
        finally:
            self._bell.close()
            self._lock.release()
