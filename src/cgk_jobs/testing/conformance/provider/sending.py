"""Sends, in their variety, arrive."""

from __future__ import annotations

import pytest

from cgk_jobs import Context, InvalidEvent, Jobs, Limit, Retry, Send, Unsupported
from cgk_jobs.clock import from_micros
from cgk_jobs.testing.conformance.provider.case import LONG, Ping, ProviderCase, Site

__all__ = ["SendingSuite"]


def _doubling(jobs: Jobs) -> None:
    @jobs.task(on=Ping, id="double")
    async def double(event: Ping, ctx: Context) -> int:
        return 2 * event.number


class SendingSuite(ProviderCase):
    """``send`` and its options."""

    async def test_a_send_runs_and_its_result_is_kept(self, site: Site) -> None:
        jobs = site.make_jobs()
        _doubling(jobs)
        async with self.working(site, jobs):
            sent = await jobs.send(Ping(tenant_id="acme", number=21))
            run = await self.ended(jobs, sent.run_ids[0])
            assert (run.state, run.result, run.tenant_id, run.attempt) == ("completed", 42, "acme", 1)

    async def test_a_send_from_a_process_without_workers(self, site: Site) -> None:
        jobs, sender = site.make_jobs(), site.make_jobs()
        _doubling(jobs)
        async with self.working(site, jobs):
            sent = await sender.send(Ping(tenant_id="acme", number=4))
            assert await jobs.runs.wait(sent.run_ids[0], timeout=LONG) == 8
        await sender.stop()
        sender.close()

    async def test_a_batch(self, site: Site) -> None:
        jobs = site.make_jobs()
        _doubling(jobs)
        async with self.working(site, jobs):
            answers = await jobs.send_many([Ping(tenant_id="acme", number=number) for number in range(60)])
            assert [run.result for run in await self.all_ended(jobs, answers)] == [2 * number for number in range(60)]

    async def test_a_delay_is_kept(self, site: Site) -> None:
        jobs = site.make_jobs()
        _doubling(jobs)
        async with self.working(site, jobs):
            asked_at = from_micros(jobs.clock.micros())
            sent = await jobs.send(Ping(tenant_id="acme"), delay=1.5)
            run = await self.ended(jobs, sent.run_ids[0])
            assert run.state == "completed"
            assert run.started_at is not None
            assert (run.started_at - asked_at).total_seconds() >= 1.5

    async def test_a_key_is_used_once(self, site: Site) -> None:
        jobs = site.make_jobs()
        _doubling(jobs)
        async with self.working(site, jobs):
            first = await jobs.send(Ping(tenant_id="acme", number=1), key="once")
            second = await jobs.send(Ping(tenant_id="acme", number=1), key="once")
            assert (second.status, second.run_ids) == ("duplicate", first.run_ids)
            await jobs.runs.wait(first.run_ids[0], timeout=LONG)
            assert len(list(await jobs.runs.list(task="double"))) == 1

    async def test_priority_within_a_tenant(self, site: Site) -> None:
        jobs = site.make_jobs()
        begun: list[int] = []

        @jobs.task(on=Ping, queue="line", concurrency=Limit(1))
        async def note(event: Ping) -> None:
            begun.append(event.number)

        async with self.working(site, jobs):
            await jobs.queues.pause("line")
            sent = await jobs.send_many(
                [
                    Send(Ping(tenant_id="acme", number=1), priority=0),
                    Send(Ping(tenant_id="acme", number=2), priority=90),
                    Send(Ping(tenant_id="acme", number=3), priority=50),
                ]
            )
            await jobs.queues.resume("line")
            await self.all_ended(jobs, sent)
        assert begun == [2, 3, 1]

    async def test_what_was_not_started_in_time_expires(self, site: Site) -> None:
        jobs = site.make_jobs()
        _doubling(jobs)
        async with self.working(site, jobs):
            await jobs.queues.pause("default")
            sent = await jobs.send(Ping(tenant_id="acme"), expires=0.5)
            assert (await self.ended(jobs, sent.run_ids[0])).state == "expired"
            await jobs.queues.resume("default")

    async def test_what_the_ledger_can_t_do_is_refused(self, site: Site) -> None:
        jobs = site.make_jobs()
        _doubling(jobs)
        if jobs.provider.capabilities.transactional_send:
            with pytest.raises((Unsupported, InvalidEvent)):
                await jobs.send(Ping(tenant_id="acme"), connection=object())
        else:
            with pytest.raises(Unsupported, match="connection"):
                await jobs.send(Ping(tenant_id="acme"), connection=object())
        jobs.close()

    async def test_status_and_lists(self, site: Site) -> None:
        jobs = site.make_jobs()

        @jobs.task(on=Ping, id="half", retry=Retry(max_attempts=1))
        async def half(event: Ping) -> None:
            if event.number % 2:
                raise ValueError("odd")

        async with self.working(site, jobs):
            answers = await jobs.send_many([Ping(tenant_id="acme", number=number) for number in range(4)])
            answers += await jobs.send_many([Ping(tenant_id="zeta", number=0)])
            await self.all_ended(jobs, answers)
            assert await jobs.runs.count(tenant_id="acme") == {"completed": 2, "failed": 2}
            assert [run.tenant_id for run in await jobs.runs.list(tenant_id="zeta")] == ["zeta"]
            assert {run.error for run in await jobs.runs.list(state="failed")} == {"ValueError: odd"}
