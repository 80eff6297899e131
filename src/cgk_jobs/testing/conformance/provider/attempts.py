"""Attempts end as their handlers say, and are made again by the task's own policy, whoever wakes them."""

from __future__ import annotations

import asyncio

from cgk_jobs import Context, NonRetryable, Retry, RetryAfter
from cgk_jobs.clock import monotonic
from cgk_jobs.testing.conformance.provider.case import Ping, ProviderCase, Site

__all__ = ["AttemptsSuite"]

AT_ONCE = Retry(max_attempts=3, backoff="fixed", initial=0.05, jitter=0)


class AttemptsSuite(ProviderCase):
    """Retries, time limits, cancellation, replay."""

    async def test_a_failure_is_tried_again_when_its_policy_says(self, site: Site) -> None:
        jobs = site.make_jobs()
        begun: list[float] = []

        @jobs.task(on=Ping, retry=Retry(max_attempts=3, backoff="fixed", initial=1, jitter=0))
        async def shaky(event: Ping, ctx: Context) -> int:
            begun.append(monotonic())
            if ctx.attempt < 3:
                raise ConnectionError("not yet")
            return ctx.attempt

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            run = await self.ended(jobs, sent.run_ids[0])
        assert (run.state, run.result, run.attempt) == ("completed", 3, 3)
        assert begun[1] - begun[0] >= 1
        assert begun[2] - begun[1] >= 1

    async def test_an_error_that_can_t_be_retried_is_not(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping, retry=AT_ONCE)
        async def hopeless(event: Ping) -> None:
            raise NonRetryable("never")

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            run = await self.ended(jobs, sent.run_ids[0])
        assert (run.state, run.attempt) == ("failed", 1)

    async def test_the_last_attempt_s_error_is_kept(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping, retry=AT_ONCE)
        async def failing(event: Ping, ctx: Context) -> None:
            raise ValueError(f"attempt {ctx.attempt}")

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            run = await self.ended(jobs, sent.run_ids[0])
        assert (run.state, run.error, run.attempt) == ("failed", "ValueError: attempt 3", 3)

    async def test_retry_after(self, site: Site) -> None:
        jobs = site.make_jobs()
        begun: list[float] = []

        @jobs.task(on=Ping, retry=AT_ONCE)
        async def told(event: Ping, ctx: Context) -> None:
            begun.append(monotonic())
            if ctx.attempt == 1:
                raise RetryAfter(1.5)

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            run = await self.ended(jobs, sent.run_ids[0])
        assert run.state == "completed"
        assert begun[1] - begun[0] >= 1.5

    async def test_an_attempt_that_takes_too_long_is_ended(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping, timeout=0.3, retry=Retry(max_attempts=1))
        async def slow(event: Ping) -> None:
            await asyncio.Event().wait()

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            run = await self.ended(jobs, sent.run_ids[0])
        assert run.state == "failed"
        assert [attempt.outcome for attempt in run.attempts] == ["timed out"]

    async def test_a_run_that_waits_is_cancelled(self, site: Site) -> None:
        jobs = site.make_jobs()
        begun: list[int] = []

        @jobs.task(on=Ping)
        async def note(event: Ping) -> None:
            begun.append(event.number)

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"), delay=2)
            await jobs.runs.cancel(sent.run_ids[0])
            assert (await jobs.runs.get(sent.run_ids[0])).state == "cancelled"
            # The next one that is due as late shows that the time of the first has passed.
            later = await jobs.send(Ping(tenant_id="acme", number=2), delay=2.5)
            await self.ended(jobs, later.run_ids[0])
        assert begun == [2]

    async def test_a_run_that_is_running_is_cancelled(self, site: Site) -> None:
        jobs = site.make_jobs()
        running = asyncio.Event()

        @jobs.task(on=Ping)
        async def endless(event: Ping) -> None:
            running.set()
            await asyncio.Event().wait()

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            await running.wait()
            await jobs.runs.cancel(sent.run_ids[0])
            assert (await self.ended(jobs, sent.run_ids[0])).state == "cancelled"

    async def test_a_replay_is_a_new_run(self, site: Site) -> None:
        jobs = site.make_jobs()
        ran: list[str] = []

        @jobs.task(on=Ping)
        async def note(event: Ping, ctx: Context) -> None:
            ran.append(ctx.run_id)

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            await self.ended(jobs, sent.run_ids[0])
            again = await jobs.runs.replay(sent.run_ids[0])
            await self.ended(jobs, again.id)
        assert ran == [sent.run_ids[0], again.id]

    async def test_a_failed_run_is_retried_by_hand(self, site: Site) -> None:
        jobs = site.make_jobs()
        broken = True

        @jobs.task(on=Ping, retry=Retry(max_attempts=1))
        async def mended(event: Ping) -> str:
            if broken:
                raise ValueError("broken")
            return "whole"

        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme"))
            assert (await self.ended(jobs, sent.run_ids[0])).state == "failed"
            broken = False
            await jobs.runs.retry(sent.run_ids[0])
            assert (await self.ended(jobs, sent.run_ids[0])).result == "whole"
