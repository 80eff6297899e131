"""``jobs.schedules`` and ``jobs.queues``: what operators look at and change."""

from __future__ import annotations

import builtins
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass
from datetime import datetime
from typing import Any

from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.engine.fitting import insert_what_fits
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.engine.scheduler import TICK_EVENT
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import InvalidTask, JobsError, NotConfigured
from cgk_jobs.events.sent import Sent
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tasks.schedule import Misfire
from cgk_jobs.tasks.task import Task, TenantsMode
from cgk_jobs.tenancy.context import require_same_tenant
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id
from cgk_jobs.tenants import Tenants
from cgk_jobs.wire.json import dumps

__all__ = ["Queues", "ScheduleView", "Schedules"]


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

    def __init__(
        self,
        store: Store,
        tasks: TaskRegistry,
        tenants: Tenants,
        clock: Clock,
        declare: Callable[[], Awaitable[None]],
    ) -> None:
        self._store = store
        self._declare = declare
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
        """Run a schedule's task now, for one tenant or for all it runs for, beside its ticks.

        A tenant whose quota does not take it gets none; its answer is ``refused`` and says why.
        """
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
        await self._declare()
        payload = dumps({"at": now, "timezone": spec.cron.timezone, "previous": None, "missed": 0})
        events = [NewEvent(tenant, TICK_EVENT, 1, payload, task=task.id) for tenant in tenants]
        return [_sent(answer) for answer in await insert_what_fits(self._store, events)]


def _sent(answer: Stored | JobsError) -> Sent:
    if isinstance(answer, JobsError):
        return Sent(0, 0, (), "refused", str(answer))
    if answer.refused is not None:
        return Sent(0, 0, (), "refused", answer.refused)
    return Sent(answer.event_seq, answer.nonce, answer.run_seqs)


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
