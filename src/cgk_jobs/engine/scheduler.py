"""Fires what is due: every tick once for each tenant, whichever process looks first, and whatever dies in between.

Each schedule has a row in the ledger for each time zone it runs in. A tick is fired in parts of so many tenants; each part
and the row that says how far it has come are one transaction, which changes nothing if the row no longer stands where this
process read it. So a second scheduler, a crash or a clock that steps back neither doubles nor loses a tick.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Coroutine, Sequence
from typing import Any, NamedTuple

from cgk_jobs import signals
from cgk_jobs.clock import Clock, from_micros, to_micros
from cgk_jobs.engine.records import NewEvent, ScheduleRecord
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import JobsError
from cgk_jobs.signals import Signals
from cgk_jobs.tasks.registry import TaskRegistry
from cgk_jobs.tasks.schedule import Cron, missed_ticks, spread_offset
from cgk_jobs.tasks.task import ScheduleSpec, Task
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.json import dumps

__all__ = ["TICK_EVENT", "ActiveTenant", "Scheduler", "TenantList"]

_logger = logging.getLogger("cgk_jobs.engine")

TICK_EVENT = "tick"
"""The event name of runs that a schedule made."""
PART = 500
"""Tenants whose runs of a tick are stored in one transaction."""
LONGEST_SLEEP = 5.0
"""Seconds until the clock is looked at again: new tenants, pauses and clock changes are noticed within them."""


class ActiveTenant(NamedTuple):
    """A tenant schedules run for, and its own time zone if it has one."""

    id: str
    timezone: str | None = None


TenantList = Callable[[bool], Awaitable[Sequence[ActiveTenant]]]
"""The active tenants; with ``True`` also those that only ever sent."""


class Scheduler:
    """Looks at the clock for one application."""

    def __init__(self, store: Store, tasks: TaskRegistry, tenants: TenantList, emitter: Signals, clock: Clock) -> None:
        self._store = store
        self._tasks = tasks
        self._tenants = tenants
        self._emitter = emitter
        self._clock = clock
        # When each schedule is next due in each zone, so that most looks read nothing from the ledger.
        self._next: dict[tuple[str, str], int] = {}
        self._declared: set[tuple[str, str]] = set()
        self._rows: dict[tuple[str, str], ScheduleRecord] = {}
        self._loop: asyncio.Task[None] | None = None

    def start(self) -> None:
        """Begin to look at the clock."""
        self._loop = asyncio.get_running_loop().create_task(self._run(), name="cgk-jobs-scheduler")

    async def stop(self) -> None:
        """Stop looking; a tick half fired is taken up by whoever looks next."""
        if self._loop is not None:
            self._loop.cancel()
            await asyncio.gather(self._loop, return_exceptions=True)

    async def _run(self) -> None:
        while True:
            wait = LONGEST_SLEEP
            try:
                next_due = await self.fire_due()
                if next_due is not None:
                    wait = min(max((next_due - self._clock.micros()) / 1e6, 0.001), LONGEST_SLEEP)
            except (JobsError, OSError) as error:
                _logger.error("schedules were not fired: %s", error)
                wait = 1.0
            except Exception:
                # The application's own list of tenants failed: schedules must not stop for good because of it.
                _logger.exception("schedules were not fired")
                wait = 1.0
            await asyncio.sleep(wait)

    async def register(self) -> None:
        """Make every schedule known to the ledger, in each zone: those never seen begin now."""
        lists = _TenantLists(self._tenants)
        for task, spec in self._schedules():
            for timezone in await lists.zones(spec):
                await self._row(task, timezone, spec.cron.expression)

    async def fire_due(self) -> int | None:
        """Fire everything that is due; returns the next moment something is (microseconds), or ``None``."""
        paused = {row.name for row in await self._store.reads.paused() if row.kind == "schedule"}
        lists = _TenantLists(self._tenants)
        moments: list[int] = []
        due: list[tuple[tuple[str, str], Coroutine[Any, Any, int]]] = []
        now = self._clock.micros()
        for task, spec in self._schedules():
            for timezone, tenants in (await lists.zones(spec)).items():
                key = (task.id, timezone)
                following = self._next.get(key, 0)
                if following <= now:
                    cron = spec.cron.in_zone(timezone)
                    due.append((key, self._fire(task, cron, spec, tenants, task.id in paused)))
                else:
                    moments.append(following)
        # Together, so that the ticks of one moment share a transaction.
        for (key, _), following in zip(due, await asyncio.gather(*[work for _, work in due]), strict=True):
            self._next[key] = following
            moments.append(following)
        return min(moments, default=None)

    def _schedules(self) -> list[tuple[Task[Any], ScheduleSpec]]:
        return [(task, task.schedule) for task in self._tasks if task.schedule is not None]

    async def _fire(self, task: Task[Any], cron: Cron, spec: ScheduleSpec, tenants: list[str], paused: bool) -> int:
        while True:
            row = await self._row(task, cron.timezone, cron.expression)
            now = self._clock.micros()
            if row.expression != cron.expression:
                # A process with newer code has declared other times: while old code runs beside it, it fires by those.
                return now + round(LONGEST_SLEEP * 1e6)
            if row.tick_at is not None:
                await self._fire_part(task, row, spec, row.tick_at, row.missed, tenants)
                continue
            last = from_micros(row.last_at)
            ticks = [] if paused else missed_ticks(cron, last, from_micros(now), spec.misfire)
            if not ticks:
                following = to_micros(cron.next_after(last))
                if following > now:
                    return following
                # Missed and not to be made up for, or paused: the schedule goes on from now.
                await self._store.fire(row, row._replace(last_at=now), [])
                continue
            tick, missed = ticks[0]
            if not await self._fire_part(task, row, spec, to_micros(tick), missed, tenants):
                continue
            for tick, missed in ticks[1:]:
                row = await self._row(task, cron.timezone, cron.expression)
                if row.expression != cron.expression or row.tick_at is not None or row.last_at >= to_micros(tick):
                    break
                await self._fire_part(task, row, spec, to_micros(tick), missed, tenants)

    async def _row(self, task: Task[Any], timezone: str, expression: str) -> ScheduleRecord:
        key = (task.id, timezone)
        row = self._rows.pop(key, None)
        if row is None or row.expression != expression:
            row = await self._store.schedule(task.id, timezone, expression, declare=key not in self._declared)
            self._declared.add(key)
        return row

    async def _fire_part(
        self, task: Task[Any], row: ScheduleRecord, spec: ScheduleSpec, tick: int, missed: int, tenants: list[str]
    ) -> bool:
        """Store the next part of a tick. False if somebody else was faster."""
        left = [tenant for tenant in tenants if row.after_tenant is None or tenant > row.after_tenant]
        part = left[:PART]
        if len(part) < len(left):
            after = row._replace(tick_at=tick, missed=missed, after_tenant=part[-1])
        else:
            # Not back behind the moment at which an edit of the schedule took effect.
            after = row._replace(
                last_at=max(tick, row.last_at), tick_at=None, missed=0, after_tenant=None, previous_at=tick
            )
        payload = dumps(
            {"at": tick, "timezone": row.timezone, "previous": row.previous_at, "missed": missed},
        )
        events = [
            NewEvent(
                tenant, TICK_EVENT, 1, payload, task=task.id, tick_at=tick, expires=task.expires,
                due_at=None if not spec.spread else tick + self._offset(task.id, tenant, spec),
            )
            for tenant in part
        ]  # fmt: skip
        stored = await self._store.fire(row, after, events)
        if stored is None:
            return False
        # As it stands now, unless somebody else moves it, which the next part then finds out.
        self._rows[task.id, row.timezone] = after
        if self._emitter.active:
            self._emitter.emit(
                signals.SCHEDULE_FIRED,
                PLATFORM,
                schedule=task.id,
                at=from_micros(tick),
                runs=len(stored),
                missed=missed,
            )
        return True

    @staticmethod
    def _offset(schedule: str, tenant: str, spec: ScheduleSpec) -> int:
        return round(spread_offset(schedule, tenant, spec.spread) * 1e6)


class _TenantLists:
    """The active tenants, asked for once in each look at the clock, by time zone."""

    def __init__(self, tenants: TenantList) -> None:
        self._tenants = tenants
        self._lists: dict[bool, Sequence[ActiveTenant]] = {}
        self._zones: dict[tuple[str, str, frozenset[str]], dict[str, list[str]]] = {}

    async def zones(self, spec: ScheduleSpec) -> dict[str, list[str]]:
        """The tenants a schedule runs for, in order, by the zone it runs in for them."""
        own = spec.cron.timezone
        if spec.tenants == "platform":
            return {own: [PLATFORM]}
        key = (spec.tenants, own, spec.skip)
        zones = self._zones.get(key)
        if zones is None:
            seen = spec.tenants == "seen"
            if seen not in self._lists:
                self._lists[seen] = sorted(await self._tenants(seen), key=lambda tenant: tenant.id)
            zones = self._zones[key] = {}
            for tenant in self._lists[seen]:
                if tenant.id not in spec.skip:
                    zones.setdefault(tenant.timezone or own, []).append(tenant.id)
        return zones
