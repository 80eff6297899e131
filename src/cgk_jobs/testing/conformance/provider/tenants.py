"""The tenant is with every run, and limits are the ledger's, whoever wakes the runs."""

from __future__ import annotations

import asyncio
from collections import Counter

import pytest

from cgk_jobs import Jobs, Limit, Rate, RunNotFound, Tick, current_tenant, tenant_context
from cgk_jobs.clock import monotonic
from cgk_jobs.testing.conformance.provider.case import Ping, ProviderCase, Site

__all__ = ["TenantsSuite"]


class TenantsSuite(ProviderCase):
    """Tenants, their limits, and their schedules."""

    async def test_a_handler_runs_as_its_tenant(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping)
        async def whose(event: Ping) -> str:
            await asyncio.sleep(0)
            return current_tenant()

        async with self.working(site, jobs):
            answers = await jobs.send_many([Ping(tenant_id=f"tenant-{number % 5}") for number in range(20)])
            runs = await self.all_ended(jobs, answers)
            assert all(run.result == run.tenant_id for run in runs)
            with tenant_context("zeta"), pytest.raises(RunNotFound):
                await jobs.runs.get(runs[0].id)

    async def test_concurrency_per_tenant(self, site: Site) -> None:
        jobs = site.make_jobs()
        running: Counter[str] = Counter()
        most: Counter[str] = Counter()

        @jobs.task(on=Ping, concurrency=Limit(1, per="tenant"))
        async def alone(event: Ping) -> None:
            running[event.tenant_id] += 1
            most[event.tenant_id] = max(most[event.tenant_id], running[event.tenant_id])
            await asyncio.sleep(0.02)
            running[event.tenant_id] -= 1

        async with self.working(site, jobs):
            events = [Ping(tenant_id=tenant, number=number) for number in range(5) for tenant in ("acme", "zeta")]
            runs = await self.all_ended(jobs, await jobs.send_many(events))
        assert {run.state for run in runs} == {"completed"}
        assert most == {"acme": 1, "zeta": 1}

    async def test_a_rate_per_tenant(self, site: Site) -> None:
        jobs = site.make_jobs()
        begun: dict[str, list[float]] = {"acme": [], "zeta": []}

        @jobs.task(on=Ping, rate=Rate(2, seconds=1, per="tenant"))
        async def paced(event: Ping) -> None:
            begun[event.tenant_id].append(monotonic())

        async with self.working(site, jobs):
            events = [Ping(tenant_id=tenant, number=number) for number in range(4) for tenant in ("acme", "zeta")]
            await self.all_ended(jobs, await jobs.send_many(events))
        for moments in begun.values():
            # The ledger's moments of starting are a second apart; what a handler sees of them may be some milliseconds less.
            assert moments[2] - moments[0] > 0.9
            assert moments[3] - moments[1] > 0.9

    async def test_a_tenant_that_is_paused_waits_alone(self, site: Site) -> None:
        jobs = site.make_jobs()
        order: list[str] = []

        @jobs.task(on=Ping)
        async def note(event: Ping) -> None:
            order.append(event.tenant_id)

        async with self.working(site, jobs):
            await jobs.tenants.add("acme")
            await jobs.tenants.pause("acme")
            held = await jobs.send(Ping(tenant_id="acme"))
            free = await jobs.send(Ping(tenant_id="zeta"))
            await self.ended(jobs, free.run_ids[0])
            await jobs.tenants.resume("acme")
            await self.ended(jobs, held.run_ids[0])
        assert order == ["zeta", "acme"]

    async def test_a_schedule_runs_for_each_tenant(self, site: Site) -> None:
        jobs = site.make_jobs()
        ran = self._nightly(jobs)
        for tenant in ("acme", "zeta"):
            await jobs.tenants.add(tenant)
        async with self.working(site, jobs):
            await self.all_ended(jobs, await jobs.schedules.trigger("nightly"))
        assert ran == {"acme": 1, "zeta": 1}

    def _nightly(self, jobs: Jobs) -> Counter[str]:
        ran: Counter[str] = Counter()

        @jobs.cron("0 3 * * *", id="nightly", timezone="Europe/Berlin", tenants="each")
        async def nightly(tick: Tick) -> None:
            ran[current_tenant()] += 1

        return ran
