"""``jobs.tenants``, ``jobs.schedules`` and ``jobs.queues``: what operators look at and change."""

from __future__ import annotations

import builtins
import inspect
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import NewEvent, TenantRecord
from cgk_jobs.engine.scheduler import TICK_EVENT, ActiveTenant
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import InvalidEvent, InvalidTask, NotConfigured, Unsupported
from cgk_jobs.events.sent import Sent
from cgk_jobs.tasks.policy import Rate
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tasks.schedule import Cron, Misfire
from cgk_jobs.tasks.task import Task, TenantsMode
from cgk_jobs.tenancy.context import require_same_tenant
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id
from cgk_jobs.wire.json import dumps

__all__ = ["Queues", "ScheduleView", "Schedules", "TenantSource", "TenantView", "Tenants", "Usage"]

TenantSource = Callable[
    [], "Iterable[str | tuple[str, str | None]] | Awaitable[Iterable[str | tuple[str, str | None]]]"
]
"""The application's own list of tenants: ids, or pairs of id and time zone."""


@dataclass(frozen=True, slots=True)
class TenantView:
    """A tenant. ``weight``: its share against others; ``concurrency`` and ``rate`` hold over all its tasks."""

    id: str
    added: bool
    timezone: str | None
    weight: float
    concurrency: int | None
    rate: Rate | None
    paused: bool
    since: datetime


@dataclass(frozen=True, slots=True)
class Usage:
    """How many runs a tenant has: all that are kept, by state, and those not ended."""

    tenant_id: str
    states: dict[State, int]

    @property
    def unfinished(self) -> int:
        """Runs that have not ended."""
        return sum(count for state, count in self.states.items() if state not in FINAL)


class Tenants:
    """The tenants an installation has."""

    def __init__(self, store: Store, clock: Clock) -> None:
        self._store = store
        self._clock = clock
        self.source: TenantSource | None = None

    async def _record(self, tenant_id: str) -> TenantRecord:
        parse_tenant_id(tenant_id)
        require_same_tenant(tenant_id)
        for record in await self._store.reads.tenants():
            if record.id == tenant_id:
                return record
        return TenantRecord(tenant_id, added=False, created_at=self._clock.micros())

    async def add(self, tenant_id: str, *, timezone: str | None = None, weight: float | None = None) -> None:
        """Add a tenant to those that ``tenants="each"`` means; again to change it. ``timezone``: for its schedules.

        Raises ``InvalidEvent`` for a bad id, ``InvalidSchedule`` for an unknown zone.
        """
        if timezone is not None:
            Cron("0 0 * * *", timezone)
        record = await self._record(tenant_id)
        record = record._replace(added=True)
        if timezone is not None:
            record = record._replace(timezone=timezone)
        await self._store.put_tenant(_weighed(record, weight))

    async def remove(self, tenant_id: str) -> None:
        """Take a tenant out of those that ``tenants="each"`` means. Its runs and settings stay."""
        await self._store.put_tenant((await self._record(tenant_id))._replace(added=False))

    async def limit(
        self,
        tenant_id: str,
        *,
        weight: float | None = None,
        concurrency: int | None = None,
        rate: Rate | None = None,
        unlimited: bool = False,
    ) -> None:
        """Change a tenant's share or its limits over all its tasks, at once. ``unlimited``: take its limits away first."""
        if concurrency is not None and concurrency < 1:
            raise InvalidEvent("concurrency is at least 1; to stop a tenant, pause it")
        record = await self._record(tenant_id)
        if unlimited:
            record = record._replace(concurrency=None, rate=None, rate_seconds=None)
        if concurrency is not None:
            record = record._replace(concurrency=concurrency)
        if rate is not None:
            record = record._replace(rate=rate.n, rate_seconds=rate.seconds)
        await self._store.put_tenant(_weighed(record, weight))

    async def pause(self, tenant_id: str) -> None:
        """Start no more runs of a tenant. Running ones end; sends are stored."""
        await self._store.put_tenant((await self._record(tenant_id))._replace(paused=True))

    async def resume(self, tenant_id: str) -> None:
        """Start a tenant's runs again."""
        await self._store.put_tenant((await self._record(tenant_id))._replace(paused=False))

    async def list(self) -> builtins.list[TenantView]:
        """Every tenant added, seen, or named by the application's own list."""
        records = {record.id: record for record in await self._store.reads.tenants() if record.id != PLATFORM}
        for tenant in await self._from_source():
            known = records.get(tenant.id, TenantRecord(tenant.id, added=True, created_at=self._clock.micros()))
            records[tenant.id] = known._replace(added=True, timezone=tenant.timezone or known.timezone)
        return [_view(record) for _, record in sorted(records.items())]

    async def usage(self, tenant_id: str) -> Usage:
        """How many runs a tenant has."""
        require_same_tenant(parse_tenant_id(tenant_id))
        return Usage(tenant_id, await self._store.reads.count(RunFilter(tenant_id)))

    async def export(self, tenant_id: str) -> None:
        """Not in this version."""
        raise Unsupported(
            "jobs.tenants.export", "this version", "Read the tenant's runs with jobs.runs.list(tenant_id=…)."
        )

    async def purge(self, tenant_id: str) -> None:
        """Not in this version."""
        raise Unsupported(
            "jobs.tenants.purge", "this version", "Pause the tenant; its finished runs leave by retention."
        )

    async def active(self, seen: bool) -> builtins.list[ActiveTenant]:
        """The tenants schedules run for: added ones and those of the application's list; ``seen``: whoever ever sent."""
        found = {
            record.id: ActiveTenant(record.id, record.timezone)
            for record in await self._store.reads.tenants()
            if (record.added or seen) and record.id != PLATFORM
        }
        for tenant in await self._from_source():
            known = found.get(tenant.id)
            found[tenant.id] = ActiveTenant(tenant.id, tenant.timezone or (known.timezone if known else None))
        return list(found.values())

    async def _from_source(self) -> builtins.list[ActiveTenant]:
        if self.source is None:
            return []
        answer = self.source()
        items = await answer if inspect.isawaitable(answer) else answer
        found: builtins.list[ActiveTenant] = []
        for item in items:
            tenant_id, timezone = (item, None) if isinstance(item, str) else item
            found.append(ActiveTenant(parse_tenant_id(tenant_id), timezone))
        return found


def _weighed(record: TenantRecord, weight: float | None) -> TenantRecord:
    if weight is None:
        return record
    if not 0.001 <= weight <= 1_000:
        raise InvalidEvent(f"weight={weight}: a share from 0.001 to 1,000; 1 is the default")
    return record._replace(weight=weight)


def _view(record: TenantRecord) -> TenantView:
    rate = None if record.rate is None else Rate(record.rate, seconds=record.rate_seconds or 1.0, per="tenant")
    return TenantView(
        record.id, record.added, record.timezone, record.weight, record.concurrency, rate, record.paused,
        from_micros(record.created_at),
    )  # fmt: skip


@dataclass(frozen=True, slots=True)
class ScheduleView:
    """A schedule: when it runs, for whom, when it fired last in any zone (UTC) and is next due in its own."""

    id: str
    expression: str
    timezone: str
    tenants: TenantsMode
    misfire: Misfire
    spread: float
    paused: bool
    last_at: datetime | None
    next_at: datetime


class Schedules:
    """The schedules of an application."""

    def __init__(self, store: Store, tasks: TaskRegistry, tenants: Tenants, clock: Clock) -> None:
        self._store = store
        self._tasks = tasks
        self._tenants = tenants
        self._clock = clock

    def _task(self, schedule_id: str) -> Task[Any]:
        task = self._tasks[schedule_id]
        if task.schedule is None:
            raise InvalidTask(f"task {schedule_id} has no schedule; send it an event, or use task.send(payload)")
        return task

    async def list(self) -> builtins.list[ScheduleView]:
        """Every schedule declared here."""
        paused = {row.name for row in await self._store.reads.paused() if row.kind == "schedule"}
        fired: dict[str, int] = {}
        for row in await self._store.reads.schedules():
            if row.previous_at is not None:
                fired[row.id] = max(fired.get(row.id, 0), row.previous_at)
        now = from_micros(self._clock.micros())
        return [
            ScheduleView(
                task.id, spec.cron.expression, spec.cron.timezone, spec.tenants, spec.misfire, spec.spread,
                task.id in paused, from_micros(fired[task.id]) if task.id in fired else None, spec.cron.next_after(now),
            )
            for task in self._tasks
            if (spec := task.schedule) is not None
        ]  # fmt: skip

    def next_ticks(self, schedule_id: str, count: int = 5, *, timezone: str | None = None) -> builtins.list[datetime]:
        """The next moments (UTC) of a schedule, in its own zone or a tenant's."""
        spec = self._task(schedule_id).schedule
        moments: builtins.list[datetime] = []
        if spec is not None:
            cron = spec.cron if timezone is None else spec.cron.in_zone(timezone)
            moment = from_micros(self._clock.micros())
            for _ in range(count):
                moment = cron.next_after(moment)
                moments.append(moment)
        return moments

    async def pause(self, schedule_id: str) -> None:
        """Fire no more ticks; those that pass meanwhile are not made up for."""
        await self._store.pause("schedule", self._task(schedule_id).id)

    async def resume(self, schedule_id: str) -> None:
        """Fire again, from the next tick on."""
        await self._store.resume("schedule", self._task(schedule_id).id)

    async def trigger(self, schedule_id: str, *, tenant_id: str | None = None) -> builtins.list[Sent]:
        """Run a schedule's task now, for one tenant or for all it runs for, beside its ticks."""
        task = self._task(schedule_id)
        spec = task.schedule
        if spec is None:
            return []
        now = self._clock.micros()
        if tenant_id is not None:
            require_same_tenant(parse_tenant_id(tenant_id))
            tenants: Sequence[str] = [tenant_id]
        elif spec.tenants == "platform":
            tenants = [PLATFORM]
        else:
            tenants = [tenant.id for tenant in await self._tenants.active(spec.tenants == "seen")]
        if not tenants:
            raise NotConfigured(
                "there is no active tenant: add one with jobs.tenants.add, or declare @jobs.tenant_source"
            )
        payload = dumps({"at": now, "timezone": spec.cron.timezone, "previous": None, "missed": 0})
        events = [NewEvent(tenant, TICK_EVENT, 1, payload, task=task.id) for tenant in tenants]
        return [Sent(row.event_seq, row.nonce, row.run_seqs) for row in await self._store.insert(events)]


class Queues:
    """The queues of an application."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def pause(self, name: str) -> None:
        """Start no more runs of a queue. Running ones end; sends are stored."""
        await self._store.pause("queue", name)

    async def resume(self, name: str) -> None:
        """Start the queue's runs again."""
        await self._store.resume("queue", name)

    async def paused(self) -> list[str]:
        """The names of paused queues."""
        return [row.name for row in await self._store.reads.paused() if row.kind == "queue"]
