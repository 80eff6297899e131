"""The read-only half of the ledger: for one tenant, or, with an explicit scope, for all of them."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Awaitable
from dataclasses import dataclass
from typing import Protocol

from cgk_jobs.engine.exporting import ExportRow
from cgk_jobs.engine.quotas import Counter, TenantQuotas
from cgk_jobs.engine.records import (
    AttemptRecord,
    LogLine,
    PausedRecord,
    RunKey,
    RunRecord,
    ScheduleRecord,
    StepRecord,
    Subscription,
    TallyRecord,
    TenantRecord,
    WorkerRecord,
)
from cgk_jobs.engine.states import State
from cgk_jobs.engine.usage import UsageRecord

__all__ = ["Reads", "RunFilter"]


@dataclass(frozen=True, slots=True)
class RunFilter:
    """Which runs. ``tenant_id`` ``None``: those of every tenant. ``since``: microseconds since 1970 of the creation.

    ``unfinished``: only those that have not ended.
    """

    tenant_id: str | None
    task: str | None = None
    event: str | None = None
    state: State | None = None
    tag: str | None = None
    queue: str | None = None
    since: int | None = None
    unfinished: bool = False
    parent_seq: int | None = None


class Reads(Protocol):
    """Questions about runs, steps, tenants, schedules and workers."""

    def run(self, tenant_id: str | None, seq: int, nonce: int) -> Awaitable[RunRecord | None]:
        """The run, if it is in the scope."""
        ...

    def runs(self, which: RunFilter, *, before: int | None, count: int) -> Awaitable[list[RunRecord]]:
        """Runs, newest first; ``before``: only those with a smaller ``seq``."""
        ...

    def count(self, which: RunFilter) -> Awaitable[dict[State, int]]:
        """How many runs are in each state."""
        ...

    def tally(self) -> Awaitable[list[TallyRecord]]:
        """All runs of all tenants, counted: for operators. Reads every run."""
        ...

    def steps(self, run: RunKey) -> Awaitable[list[StepRecord]]:
        """The journal of a run, in order, with what is pending."""
        ...

    def attempts(self, run: RunKey) -> Awaitable[list[AttemptRecord]]:
        """The attempts of a run that did not end it well, in order."""
        ...

    def log(self, run: RunKey) -> Awaitable[list[tuple[int, LogLine]]]:
        """What the handler logged, each line with its attempt."""
        ...

    def tenants(self) -> Awaitable[list[TenantRecord]]:
        """Every tenant added or seen."""
        ...

    def subscriptions(self) -> Awaitable[list[Subscription]]:
        """Every task declared by a process that started."""
        ...

    def schedules(self) -> Awaitable[list[ScheduleRecord]]:
        """How far schedules have fired."""
        ...

    def paused(self) -> Awaitable[list[PausedRecord]]:
        """Paused queues and schedules."""
        ...

    def workers(self) -> Awaitable[list[WorkerRecord]]:
        """Registered workers."""
        ...

    def quotas(self, tenant_id: str) -> Awaitable[tuple[TenantQuotas, Counter]]:
        """A tenant's quotas and what it has used of them; both empty for a tenant without any."""
        ...

    def usage(self, tenant_id: str, *, since: int, every: int) -> Awaitable[UsageRecord]:
        """Everything kept of a tenant, counted. Reads every run of it.

        Sends and finishes are counted from ``since`` on, by periods of ``every``: microseconds.
        """
        ...

    def export(self, tenant_id: str) -> AsyncGenerator[list[ExportRow], None]:
        """Every row of a tenant as of one moment, in portions. Close it if it isn't read to its end."""
        ...
