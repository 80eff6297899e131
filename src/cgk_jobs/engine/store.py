"""The boundary of the ledger: what a database must be able to do for the queue, in the queue's own verbs.

Each verb is one transaction, or a part of one it shares with others. Every write of an attempt carries its claim, and says
whether it landed: an attempt that lost its run writes nothing any more. The read side is apart, in ``reads.py``.
"""

from __future__ import annotations

from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import Any, Protocol

from cgk_jobs.engine.orchestration import Orchestration
from cgk_jobs.engine.quotas import Crossing, TenantQuotas
from cgk_jobs.engine.reads import Reads
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
from cgk_jobs.engine.wakeups import Wakeups
from cgk_jobs.errors import DuplicateKey

__all__ = ["Hints", "Store", "WorkerSeat"]


class Hints(Protocol):
    """What a store tells a listener in the same process. Only hints: polling finds everything without them."""

    def ready(self) -> bool:
        """Runs may be ready, or due earlier than thought. True: the listener has room for some."""
        ...

    def finished(self, seqs: Sequence[int]) -> None:
        """These runs ended for good."""
        ...


class WorkerSeat(Protocol):
    """A worker's registration, proof of life and doorbell. Alive as long as its process, whatever that process does."""

    @property
    def id(self) -> int:
        """The number that marks the runs this worker holds."""
        ...

    def listen(self, ring: Callable[[], None]) -> None:
        """Call ``ring`` on the running loop whenever another process has work for this worker."""
        ...

    async def leave(self) -> None:
        """Give the seat up. Runs still held are put back without spending an attempt."""
        ...


class Store(Orchestration, Wakeups, Protocol):
    """The ledger as engine and client use it. Raises ``ProviderUnavailable`` where the database can't be reached."""

    @property
    def reads(self) -> Reads:
        """The read side."""
        ...

    # sending

    def agree_on_time(self) -> Awaitable[None]:
        """Let this process's clock follow the ledger's, where that is another machine's: it alone decides what is due."""
        ...

    def insert(self, events: Sequence[NewEvent]) -> Awaitable[list[Stored]]:
        """Store events, each with a run for every task that listens, all or none.

        A task with flow control may take an event into a run that waits, answer the run there is, or drop it: see
        ``engine/flow.py``. Raises ``QuotaExceeded`` and ``TenantClosed`` too.
        """
        ...

    async def insert_in(self, connection: Any, events: Sequence[NewEvent]) -> list[Stored | DuplicateKey]:
        """Store events in the open transaction of the application's own connection: with its commit, or never.

        An event whose key was used with another payload is answered so in its place, and not stored. Raises ``Unsupported``
        where the ledger is in no database the application could have a connection to.
        """
        ...

    def subscribe(self, subscriptions: Sequence[Subscription]) -> Awaitable[None]:
        """Make tasks known to every process that sends; runs that waited for one of them become ready."""
        ...

    # attempts

    def exchange(
        self, worker: int, settlements: Sequence[Settlement], appetite: Appetite | None
    ) -> Awaitable[Exchange]:
        """Write how attempts ended, make ready what is due, hand out claims in fair order: one transaction."""
        ...

    def steps(self, claim: Claim) -> Awaitable[dict[str, str | None]]:
        """The finished steps of the claim's run: results (JSON) by name."""
        ...

    def write_progress(self, claim: Claim, progress: str) -> Awaitable[bool]:
        """Keep how far the attempt is (JSON). False: the attempt lost its run."""
        ...

    def write_metadata(self, claim: Claim, changes: str) -> Awaitable[bool]:
        """Merge fields (a JSON object) into the run's metadata. False: the attempt lost its run.

        Raises ``PayloadTooLarge`` where the metadata would grow over its limit.
        """
        ...

    def append_log(self, claim: Claim, lines: Sequence[LogLine]) -> Awaitable[bool]:
        """Keep lines the handler logged. False: the attempt lost its run."""
        ...

    # runs

    def cancel(self, runs: Sequence[RunKey], *, tree: bool = True) -> Awaitable[int]:
        """Cancel waiting runs at once and ask the workers of running ones to; returns how many there were of either.

        ``tree``: with every run they called, however deep. A run that was asked never starts again: an ending after which
        it would go on is written as ``cancelled``.
        """
        ...

    def retry(self, run: RunKey, queue: str, lane: int) -> Awaitable[bool]:
        """Start a run that failed, was cancelled or expired again from attempt 1, its journal kept.

        One that was undone begins with an empty journal. Raises ``DuplicateKey`` if its key allows one unfinished run, and
        there is one.
        """
        ...

    def replay(self, event: NewEvent, original: int, from_step: str | None) -> Awaitable[Stored]:
        """A new run of the same payload, with the journal of ``original`` before ``from_step``."""
        ...

    # workers

    async def take_seat(self, queues: Sequence[str], concurrency: int, lease: float) -> WorkerSeat:
        """Register a worker of this process."""
        ...

    def beat(self, worker: int) -> Awaitable[bool]:
        """Note that a worker is alive. False: it was given up, and its runs went to others."""
        ...

    async def rescue(self, lease: float) -> int:
        """Take back the runs of dead workers; returns how many runs. ``lease``: seconds a stopped one is waited for."""
        ...

    def cancels_asked(self, worker: int) -> Awaitable[list[int]]:
        """The runs of ``worker`` somebody asked to cancel."""
        ...

    # tenants, queues, schedules

    def put_tenant(self, tenant: TenantRecord) -> Awaitable[None]:
        """Write a tenant's settings; a pause parks its ready runs, its end frees them."""
        ...

    def put_quotas(self, quotas: TenantQuotas) -> Awaitable[None]:
        """Write a tenant's quotas, and count what it has used. From then on sends are held to them, whoever sends."""
        ...

    def watch_quotas(self, told: Callable[[Crossing], None]) -> Callable[[], None]:
        """Call ``told`` when a send of this process reached a soft quota; returns the function that ends it."""
        ...

    def purge(self, tenant_id: str, count: int) -> Awaitable[Mapping[str, int]]:
        """Delete rows of a tenant, some ``count`` at a time; how many of each table. Empty: there are none left."""
        ...

    def forget_tenant(self, tenant_id: str) -> Awaitable[None]:
        """The last step of a purge: forget the tenant's settings, everywhere. Its sends are taken again, as of a new one."""
        ...

    def pause(self, kind: str, name: str) -> Awaitable[None]:
        """Pause a ``queue`` or a ``schedule``."""
        ...

    def resume(self, kind: str, name: str) -> Awaitable[None]:
        """End a pause."""
        ...

    def schedule(
        self, schedule_id: str, timezone: str, expression: str, *, declare: bool = True
    ) -> Awaitable[ScheduleRecord]:
        """How far a schedule has fired in a zone; one never seen begins now.

        With another expression it begins now too, once a tick half fired has been ended. ``declare=False`` leaves another
        expression as it is: the caller has declared its own before, and newer code has since.
        """
        ...

    def fire(
        self, before: ScheduleRecord, after: ScheduleRecord, events: Sequence[NewEvent]
    ) -> Awaitable[list[Stored] | None]:
        """Store a part of a tick's runs and move the schedule on, if it stands where the caller saw it; else ``None``.

        Ticks that a tenant's hard quota does not take are left out, and counted for the tenant as refused.
        """
        ...

    # upkeep

    def expire(self) -> Awaitable[int]:
        """End runs that were not started in time; returns how many."""
        ...

    def prune(self, before: int, count: int) -> Awaitable[int]:
        """Delete up to ``count`` runs that finished before a moment; returns how many."""
        ...

    def ring(self) -> None:
        """Wake workers of other processes: there is more than this one can take."""
        ...

    def listen(self, hints: Hints) -> Callable[[], None]:
        """Tell ``hints`` of this process's commits; returns the function that ends it."""
        ...

    def close(self) -> None:
        """Let go of files and connections; the next use opens them again."""
        ...
