"""One stage of the demo: an application, its workers, virtual time, and a bound on what waits."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from datetime import datetime, timedelta
from pathlib import Path

from cgk_jobs import Event, across_tenants
from cgk_jobs.engine.scheduler import Scheduler
from cgk_jobs.engine.states import FINAL
from cgk_jobs.examples.commerce import seed
from cgk_jobs.examples.commerce.demo.crew import Crew
from cgk_jobs.examples.commerce.demo.plan import application
from cgk_jobs.examples.commerce.demo.result import CategoryResult, DemoResult, TicksResult
from cgk_jobs.examples.commerce.demo.shared_clock import SharedClock
from cgk_jobs.examples.commerce.organizations import enrol
from cgk_jobs.signals import SCHEDULE_FIRED, Signal
from cgk_jobs.tenancy import PLATFORM, tenant_context

__all__ = ["Stage"]


class Stage:
    """Sends and fires schedules here; handlers run in the crew's processes.

    ``ahead``: runs that may wait while time goes on. Few where rates count, which are rates of virtual time.
    """

    def __init__(
        self,
        folder: Path,
        start: datetime,
        tenants: Collection[str],
        schedules: Collection[str] | None,
        *,
        workers: int,
        ahead: int,
    ) -> None:
        folder.mkdir(parents=True, exist_ok=True)
        self.clock = SharedClock(folder / "clock")
        self.clock.set(start)
        self.jobs, self.shop = application(folder, self.clock, schedules)
        self.crew = Crew(folder, "all" if schedules is None else "named", workers)
        self._tenants = sorted(tenants)
        self._start = start
        self._stored = 0
        self._ahead = ahead
        self._scheduler = Scheduler(
            self.jobs.provider.store, self.jobs.tasks, self.jobs.tenants.active, self.jobs.signals, self.clock
        )
        self.ticks_ran = 0

    async def open(self) -> None:
        """Add the tenants, plant their databases, start the workers."""
        for tenant in self._tenants:
            await self.jobs.tenants.add(tenant)
            with tenant_context(tenant):
                seed.plant(self.shop, tenant)
        with across_tenants(reason="the demo enrols its tenants"):
            enrol(self.shop.shops, self._tenants, self.clock.micros())
        await self.jobs.declare()
        await self._scheduler.register()
        self.jobs.signals.listen(self._count)
        await self.crew.start()

    def _count(self, signal: Signal) -> None:
        if signal.name == SCHEDULE_FIRED:
            self._stored += int(str(signal.fields["runs"]))

    async def at(self, moment: datetime, events: list[Event]) -> None:
        """Go on to a moment: fire what is due and send what happened, once there is room for it."""
        while self._stored - self.crew.begun > self._ahead:
            self.crew.check()
            await asyncio.sleep(0.005)
        self.clock.set(moment)
        await self._scheduler.fire_due()
        if events:
            self._stored += sum(len(sent.run_ids) for sent in await self.jobs.send_many(events))

    async def drain(self, moment: datetime) -> None:
        """Go on until nothing is left to do but sleep for days."""
        until = moment + timedelta(days=2)
        begun = -1
        while moment < until:
            if self.crew.begun != begun:
                begun = self.crew.begun
                await asyncio.sleep(0.02)
                continue
            with across_tenants(reason="the demo looks whether all is done"):
                counts = await self.jobs.runs.count()
            if all(state in FINAL or state == "waiting" for state in counts):
                return
            self.crew.check()
            if not counts.get("running"):
                # What is left waits for time to pass: for its next attempt, or for its rate.
                moment += timedelta(minutes=5) if counts.get("queued") else timedelta(hours=1)
                self.clock.set(moment)
                self.jobs.provider.store.ring()
            await asyncio.sleep(0.02)

    async def collect(self, result: DemoResult, ticks: TicksResult, until: datetime) -> None:
        """Count runs by category and state, and ticks: those that ran against those the crons say were due."""
        categories = {task.id: task.tags[0] for task in self.jobs.tasks}
        for row in await self.jobs.provider.store.reads.tally():
            category = result.categories.setdefault(categories[row.task], CategoryResult())
            category.states[row.state] = category.states.get(row.state, 0) + row.runs
            category.retries += row.retries
            if row.event == "tick":
                ticks.ran += row.runs
            if row.tenant_id in result.tenants:
                result.tenants[row.tenant_id].runs += row.runs
            if row.state in ("failed", "expired", "cancelled") or row.state not in FINAL:
                result.lost += row.runs
        for task in self.jobs.tasks:
            spec = task.schedule
            if spec is not None:
                ticks.schedules += 1
                tenants = 1 if spec.tenants == PLATFORM else len(self._tenants)
                ticks.due += tenants * sum(1 for _ in spec.cron.between(self._start, until))

    async def close(self, result: DemoResult) -> None:
        """Stop the workers and add up what they used."""
        await self.crew.stop()
        result.killed += self.crew.killed
        result.peak_rss_mb = max(result.peak_rss_mb, self.crew.peak_mb)
        self.jobs.close()
        self.shop.shops.close()
