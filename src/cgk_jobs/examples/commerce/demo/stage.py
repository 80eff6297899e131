"""One stage of the demo: an application over a ledger of its own, its tenants, and virtual time."""

from __future__ import annotations

import asyncio
from collections import Counter
from collections.abc import Callable, Mapping, Sequence
from datetime import UTC, date, datetime, time, timedelta

from cgk_jobs import Event, across_tenants
from cgk_jobs.clock import from_micros
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.scheduler import TICK_EVENT, ActiveTenant, Scheduler
from cgk_jobs.engine.states import FINAL
from cgk_jobs.examples.commerce import seed
from cgk_jobs.examples.commerce.demo.ledger import Ledger
from cgk_jobs.examples.commerce.demo.plan import TWO_DAYS_TENANTS, application
from cgk_jobs.examples.commerce.demo.result import CategoryResult, DemoResult, TicksResult
from cgk_jobs.examples.commerce.demo.shared_clock import SharedClock
from cgk_jobs.examples.commerce.organizations import enrol
from cgk_jobs.signals import SCHEDULE_FIRED, Signal, Signals
from cgk_jobs.tenancy import PLATFORM

__all__ = ["Stage"]

LONGEST_DRAIN = timedelta(days=2)
"""Virtual time a run is given at least, before it counts as lost."""
SHORTEST_STEP = timedelta(seconds=1)
LONG_STEP = timedelta(hours=1)
STEP_GROWTH = 8
PATIENCE = 200
"""Looks in a row that find nothing begun, before what is left counts as lost: a server may be busy."""


class Stage:
    """Sends events and fires schedules; whoever made it lets workers run. ``stored``: the runs made by that so far.

    ``customers``: each tenant, with the customers whose orders are to come. ``schedules`` ``None``: all.
    """

    def __init__(
        self,
        ledger: Ledger,
        start: datetime,
        customers: Mapping[str, Sequence[str]],
        schedules: Sequence[str] | None,
    ) -> None:
        ledger.folder.mkdir(parents=True, exist_ok=True)
        self.ledger = ledger
        self.clock = SharedClock(ledger.folder / "clock")
        self.clock.set(start)
        self.jobs, self.shop = application(ledger, self.clock, schedules)
        self.stored = 0
        self._customers = customers
        self.start = start
        self._listeners = Counter(task.on.event_name for task in self.jobs.tasks if task.on is not None)
        self._wanted: Counter[str] = Counter()
        # A hub of its own: a listener at the application's would make every run of this process emit signals.
        fired = Signals()
        fired.listen(self._count)
        self._store = self.jobs.provider.store
        self._active = [ActiveTenant(tenant) for tenant in customers]
        self._scheduler = Scheduler(self._store, self.jobs.tasks, self._tenants, fired, self.clock)

    @classmethod
    def of_day(cls, ledger: Ledger, day: date) -> Stage:
        """One of the two days of every schedule, at midnight UTC."""
        return cls(ledger, datetime.combine(day, time(), UTC), dict.fromkeys(TWO_DAYS_TENANTS, ()), None)

    async def open(self) -> None:
        """Add the tenants, plant their databases, let the schedules begin."""
        for tenant, customers in self._customers.items():
            await self.jobs.tenants.add(tenant)
            seed.plant(self.shop, tenant, customers)
        with across_tenants(reason="the demo enrols its tenants"):
            enrol(self.shop.shops, list(self._customers), self.clock.micros())
        await self.jobs.declare()
        await self._scheduler.register()

    async def _tenants(self, seen: bool) -> Sequence[ActiveTenant]:
        # They stay the same, so the ledger need not be asked at each of many thousand looks.
        return self._active

    def _count(self, signal: Signal) -> None:
        if signal.name == SCHEDULE_FIRED:
            self.stored += int(str(signal.fields["runs"]))

    async def at(self, moment: datetime, events: Sequence[Event] = ()) -> None:
        """Go on to a moment: fire what is due by then and send what happened."""
        self.clock.set(moment)
        await self._scheduler.fire_due()
        if events:
            for event in events:
                self._wanted[event.event_name] += self._listeners[event.event_name]
            self.stored += sum(len(sent.run_ids) for sent in await self.jobs.send_many(events))

    async def drain(self, begun: Callable[[], int], check: Callable[[], None]) -> None:
        """Let time go on until every run has ended but those that sleep. ``begun``: attempts so far.

        Time goes in steps that grow while nothing moves, and shrink again: retries wait for minutes, rates for a second at a
        time. ``check`` raises if there is nobody left to work.
        """
        moment = from_micros(self.clock.micros())
        until = moment + LONGEST_DRAIN
        step, seen, idle = SHORTEST_STEP, -1, 0
        while moment < until or idle < PATIENCE:
            await asyncio.sleep(self.ledger.begins_within)
            now = begun()
            if now != seen:
                seen, step, idle = now, max(step / STEP_GROWTH, SHORTEST_STEP), 0
                continue
            check()
            idle += 1
            # Counting reads every run, so it is done only after a stretch of time in which nothing happened.
            if step >= LONG_STEP:
                # What a killed worker was about to claim may have been claimed after its other runs were taken back.
                await self._store.rescue(self.ledger.lease)
                if not await self._unfinished():
                    return
            moment += step
            step = min(step * STEP_GROWTH, LONG_STEP)
            self.clock.set(moment)
            self._store.ring()
            if self.jobs.running is not None:
                self.jobs.running.wake()

    async def _unfinished(self) -> int:
        counts = await self._store.reads.count(RunFilter(None))
        return sum(count for state, count in counts.items() if state not in FINAL and state != "waiting")

    async def collect(self, result: DemoResult, ticks: TicksResult, until: datetime) -> None:
        """Count runs by category and state, ticks that ran against those that were due, and what is missing."""
        categories = {task.id: task.tags[0] for task in self.jobs.tasks}
        found: Counter[str] = Counter()
        for row in await self._store.reads.tally():
            category = result.categories.setdefault(categories[row.task], CategoryResult())
            category.states[row.state] = category.states.get(row.state, 0) + row.runs
            category.retries += row.retries
            found[row.event] += row.runs
            if row.tenant_id in result.tenants:
                result.tenants[row.tenant_id].runs += row.runs
            if row.state not in FINAL and row.state != "waiting":
                result.lost += row.runs
        ran, due = found[TICK_EVENT], 0
        for task in self.jobs.tasks:
            spec = task.schedule
            if spec is not None:
                ticks.schedules += 1
                tenants = 1 if spec.tenants == PLATFORM else len(self._customers)
                due += tenants * spec.cron.count_between(self.start, until)
        ticks.due += due
        ticks.ran += ran
        result.lost += max(due - ran, 0)
        result.lost += sum(max(wanted - found[name], 0) for name, wanted in self._wanted.items())

    def close(self) -> None:
        """Close the files."""
        self.jobs.close()
        self.shop.close()
