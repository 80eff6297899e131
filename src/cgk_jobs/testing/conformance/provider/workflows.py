"""Workflows: what a run waits for wakes it, whoever does the waking."""

from __future__ import annotations

import asyncio
from datetime import timedelta

from pydantic import BaseModel

from cgk_jobs import Context, Retry
from cgk_jobs.clock import monotonic
from cgk_jobs.testing.conformance.provider.case import LONG, Ping, Pong, ProviderCase, Site

__all__ = ["WorkflowsSuite"]


class Square(BaseModel):
    """What a child is called with."""

    number: int


class WorkflowsSuite(ProviderCase):
    """Steps, sleeps, waits, children."""

    async def test_a_finished_step_never_runs_again(self, site: Site) -> None:
        jobs = site.make_jobs()
        stepped: list[int] = []

        @jobs.task(on=Ping, retry=Retry(max_attempts=2, backoff="fixed", initial=0.05, jitter=0))
        async def stepping(event: Ping, ctx: Context) -> int:
            async def count() -> int:
                stepped.append(ctx.attempt)
                return 7

            found: int = await ctx.step("count", count)
            if ctx.attempt == 1:
                raise ConnectionError("after the step")
            return found

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            assert (await self.ended(jobs, sent.run_ids[0])).result == 7
        assert stepped == [1]

    async def test_a_sleep_holds_no_slot_and_ends_in_time(self, site: Site) -> None:
        jobs = site.make_jobs()
        moments: list[float] = []

        @jobs.task(on=Ping)
        async def sleepy(event: Ping, ctx: Context) -> None:
            moments.append(monotonic())
            await ctx.sleep(timedelta(seconds=1.5))

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            assert (await self.ended(jobs, sent.run_ids[0])).state == "completed"
        assert moments[-1] - moments[0] >= 1.4

    async def test_a_wait_ends_with_its_event(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping)
        async def waiting(event: Ping, ctx: Context) -> int:
            pong = await ctx.wait_for(Pong, match={"number": event.number}, timeout=600)
            return pong.number

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme", number=5))
            async with asyncio.timeout(LONG):
                async for run in jobs.runs.watch(sent.run_ids[0]):
                    if run.state == "waiting":
                        break
            await jobs.send(Pong(tenant_id="zeta", number=5))
            await jobs.send(Pong(tenant_id="acme", number=6))
            await jobs.send(Pong(tenant_id="acme", number=5))
            assert (await self.ended(jobs, sent.run_ids[0])).result == 5

    async def test_children_are_called_and_gathered(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task()
        async def square(payload: Square) -> int:
            return payload.number**2

        @jobs.task(on=Ping)
        async def parent(event: Ping, ctx: Context) -> int:
            first: int = await ctx.call(square, Square(number=3))
            others = await ctx.map(square, [Square(number=number) for number in range(5)], concurrency=2)
            total: int = first + sum(others)
            return total

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            assert (await self.ended(jobs, sent.run_ids[0])).result == 9 + 30

    async def test_trigger_and_wait(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping)
        async def double(event: Ping) -> int:
            return 2 * event.number

        async with self.working(site, jobs):
            assert await jobs.trigger_and_wait(Ping(tenant_id="acme", number=8), timeout=LONG) == 16
