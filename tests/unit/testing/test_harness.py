"""The harness tests itself on small applications: what users rely on when they test theirs."""

from __future__ import annotations

import asyncio
from datetime import datetime, timedelta
from typing import Annotated

import pytest
from pydantic import BaseModel

from cgk_jobs import Context, Event, Jobs, NonRetryable, Retry, Tick, across_tenants, tenant_context
from cgk_jobs.events import Secret
from cgk_jobs.testing import DrainFailed, DrainTimeout, JobsHarness, TenantLeak, TestClock


class Placed(Event, name="harness.placed"):
    order_id: str
    token: Annotated[str | None, Secret] = None


class Mailed(Event, name="harness.mailed"):
    to: str


class Note(BaseModel):
    text: str


def declared_on(jobs: Jobs) -> Jobs:
    @jobs.task(on=Placed)
    async def confirm(event: Placed, ctx: Context) -> str:
        await ctx.send(Mailed(tenant_id=event.tenant_id, to=f"{event.order_id}@example.org"))
        return event.order_id

    return jobs


async def test_drain_runs_what_is_sent_and_what_that_sends(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)
    seen: list[str] = []

    @jobs.task(on=Mailed)
    async def count_mail(event: Mailed) -> None:
        seen.append(event.to)

    sent = await jobs.send(Placed(tenant_id="acme", order_id="1"))
    drained = await jobs_harness.drain()
    assert (drained.completed, drained.attempts, drained.failures) == (2, 2, ())
    assert seen == ["1@example.org"]
    (run,) = [run for run in await jobs_harness.runs_of("acme") if run.id == sent.run_id]
    assert (run.state, run.result) == ("completed", "1")
    assert (await jobs_harness.drain()).attempts == 0


async def test_the_clock_decides_what_is_due(jobs_harness: JobsHarness, jobs_clock: TestClock) -> None:
    jobs = declared_on(jobs_harness.jobs)
    await jobs.send(Placed(tenant_id="acme", order_id="later"), delay=60)
    assert (await jobs_harness.drain()).attempts == 0
    jobs_clock.advance(59.9)
    assert (await jobs_harness.drain()).attempts == 0
    jobs_clock.advance(0.1)
    assert (await jobs_harness.drain()).completed == 1


async def test_schedules_begin_with_the_harness_and_fire_when_the_clock_moves(jobs_harness: JobsHarness) -> None:
    ticks: list[tuple[str, datetime]] = []

    @jobs_harness.jobs.cron("0 * * * *", tenants="each")
    async def hourly(tick: Tick) -> None:
        ticks.append((tick.tenant_id, tick.scheduled_at))

    await jobs_harness.jobs.tenants.add("acme")
    start = jobs_harness.clock.now()
    jobs_harness.clock.advance(timedelta(hours=1))
    assert (await jobs_harness.drain()).completed == 1
    assert ticks == [("acme", start + timedelta(hours=1))]
    assert (await jobs_harness.drain()).attempts == 0


async def test_overdue_runs_expire_in_a_drain(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)
    sent = await jobs.send(Placed(tenant_id="acme", order_id="1"), expires=10)
    jobs_harness.clock.advance(11)
    assert (await jobs_harness.drain()).attempts == 0
    assert [run.state for run in await jobs_harness.runs_of("acme") if run.id == sent.run_id] == ["expired"]


async def test_drain_with_scheduled_goes_through_retries_and_sleeps(jobs_harness: JobsHarness) -> None:
    @jobs_harness.jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=100, jitter=0))
    async def stubborn(event: Placed, ctx: Context) -> int:
        await ctx.sleep(3_600)
        if ctx.attempt < 3:
            raise ValueError("not yet")
        return ctx.attempt

    start = jobs_harness.clock.now()
    await jobs_harness.jobs.send(Placed(tenant_id="acme", order_id="1"))
    drained = await jobs_harness.drain(with_scheduled=True, raise_failures=True)
    assert (drained.waiting, drained.retrying, drained.completed, drained.failures) == (1, 2, 1, ())
    assert jobs_harness.clock.now() - start == timedelta(seconds=3_600 + 100 + 200)


async def test_failures_are_listed_on_request(jobs_harness: JobsHarness) -> None:
    @jobs_harness.jobs.task(on=Placed)
    async def broken(event: Placed) -> None:
        raise NonRetryable(f"no order {event.order_id}")

    await jobs_harness.jobs.send(Placed(tenant_id="acme", order_id="7"))
    with pytest.raises(DrainFailed, match=r"broken of acme, attempt 1, failed: NonRetryable: no order 7") as caught:
        await jobs_harness.drain(raise_failures=True)
    assert caught.value.drained.failed == 1


async def test_a_hanging_handler_is_named(jobs_harness: JobsHarness) -> None:
    @jobs_harness.jobs.task(on=Placed)
    async def hangs(event: Placed) -> None:
        await asyncio.Event().wait()

    await jobs_harness.jobs.send(Placed(tenant_id="acme", order_id="1"))
    with pytest.raises(DrainTimeout, match="not at rest"):
        await jobs_harness.drain(timeout=0.05)


async def test_assertions_on_what_was_sent(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)

    @jobs.task()
    async def note(payload: Note) -> None: ...

    with pytest.raises(AssertionError, match="Nothing was sent"):
        jobs_harness.assert_sent(Placed)
    await jobs.send(Placed(tenant_id="acme", order_id="1", token="hush"), key="k", tags=["a"])
    await jobs.send(Placed(tenant_id="acme", order_id="1", token="hush"), key="k")
    await jobs.send("harness.placed", {"tenant_id": "globex", "order_id": "2"})
    await jobs.send(Mailed(tenant_id="acme", to="x"), Mailed(tenant_id="acme", to="y"))
    with tenant_context("acme"):
        await note.send(Note(text="hello"))
    found = jobs_harness.assert_sent(Placed, tenant_id="acme", order_id="1", count=1)
    assert (found.key, found.tags) == ("k", ("a",))
    jobs_harness.assert_sent("harness.placed", order_id="2")
    jobs_harness.assert_sent(Mailed, count=2)
    jobs_harness.assert_sent(note, text="hello")
    jobs_harness.refute_sent(Placed, order_id="3")
    with pytest.raises(AssertionError) as caught:
        jobs_harness.assert_sent(Placed, order_id="3")
    message = str(caught.value)
    assert "expected at least 1 sent of harness.placed(order_id='3'), found 0" in message
    assert "order_id='1'" in message
    assert "Mailed(tenant_id='acme', to='y')" in message
    assert "Note(text='hello') [to task note; for acme]" in message
    assert "hush" not in message
    with pytest.raises(AssertionError, match=r"expected none sent of .*, found 2"):
        jobs_harness.refute_sent(Mailed)
    jobs_harness.forget_sent()
    jobs_harness.refute_sent(Placed)


async def test_run_task_is_direct(jobs_harness: JobsHarness) -> None:
    calls: list[str] = []

    def noted(name: str, value: int) -> int:
        calls.append(name)
        return value

    @jobs_harness.jobs.task(on=Placed)
    async def stepwise(event: Placed, ctx: Context) -> list[object]:
        first = await ctx.step("first", noted, "first", 1)
        await ctx.sleep(60)
        second = await ctx.step("second", noted, "second", 2)
        if ctx.attempt == 3:
            raise KeyError("nine")
        await ctx.send(Mailed(tenant_id=event.tenant_id, to="x"))
        return [first, second, ctx.attempt]

    event = Placed(tenant_id="acme", order_id="1")
    before = jobs_harness.clock.now()
    assert await jobs_harness.run_task(stepwise, event, attempt=2) == [1, 2, 2]
    assert calls == ["first", "second"]
    assert jobs_harness.clock.now() - before == timedelta(seconds=60)
    jobs_harness.assert_sent(Mailed, tenant_id="acme", count=1)
    assert await jobs_harness.run_task(stepwise, event, steps={"first": 10}) == [10, 2, 1]
    with pytest.raises(KeyError, match="nine"):
        await jobs_harness.run_task(stepwise, event, attempt=3)
    with pytest.raises(ValueError, match="makes 1 to 3"):
        await jobs_harness.run_task(stepwise, event, attempt=4)
    assert await jobs_harness.runs_of("acme") == []


async def test_run_task_takes_ticks_and_plain_functions(jobs_harness: JobsHarness) -> None:
    @jobs_harness.jobs.cron("0 9 * * *", timezone="Europe/Berlin", tenants="platform")
    def morning(tick: Tick, ctx: Context) -> str:
        return str(ctx.sync.step("hour", tick.local_time.isoformat))

    now = jobs_harness.clock.now()
    tick = Tick("platform", "morning", now, now, "Europe/Berlin")
    assert await jobs_harness.run_task(morning, tick) == "2026-01-01T01:00:00+01:00"


@pytest.mark.parametrize(("moment", "calls_of_charge"), [("after", 1), ("before", 2)])
async def test_a_crash_at_a_step(jobs_harness: JobsHarness, moment: str, calls_of_charge: int) -> None:
    calls: list[str] = []

    @jobs_harness.jobs.task(on=Placed)
    async def pay(event: Placed, ctx: Context) -> int:
        for name in ("reserve", "charge", "ship"):
            try:
                await ctx.step(name, calls.append, name)
            except Exception:  # a crash must pass
                calls.append("swallowed")
        return ctx.attempt

    await jobs_harness.jobs.send(Placed(tenant_id="acme", order_id="1"))
    jobs_harness.crash_at_step(pay, 2, moment=moment)  # type: ignore[arg-type]
    drained = await jobs_harness.drain()
    assert (drained.crashed, drained.completed) == (1, 1)
    assert calls.count("charge") == calls_of_charge
    assert (calls.count("reserve"), calls.count("ship"), calls.count("swallowed")) == (1, 1, 0)
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.result) == ("completed", 2)
    assert [(attempt.attempt, attempt.outcome) for attempt in run.attempts] == [(1, "crashed")]


async def test_working_serves_who_waits_and_follows_the_clock(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)
    async with jobs_harness.working():
        assert await jobs.trigger_and_wait(Placed(tenant_id="acme", order_id="5"), timeout=10) == "5"
        later = await jobs.send(Placed(tenant_id="acme", order_id="6"), delay=3_600)
        jobs_harness.clock.advance(3_600)
        with tenant_context("acme"):
            assert await jobs.runs.wait(later.run_id, timeout=10) == "6"


async def test_a_handler_that_moves_the_clock_wakes_what_is_due(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)

    @jobs.task(on=Mailed)
    def move(event: Mailed) -> None:
        jobs_harness.clock.advance(60)

    await jobs.send(Placed(tenant_id="acme", order_id="1"), delay=60)
    await jobs.send(Mailed(tenant_id="acme", to="x"))
    assert (await jobs_harness.drain()).completed == 3


async def test_an_application_on_loan_is_given_back() -> None:
    jobs = declared_on(Jobs())
    before = dict(vars(jobs))
    with JobsHarness(jobs) as harness:
        assert harness.jobs is jobs
        await jobs.send(Placed(tenant_id="acme", order_id="1"))
        assert (await harness.drain()).completed == 1
        folder = harness.folder
    assert vars(jobs) == before
    assert not folder.exists()


def test_a_test_without_event_loop(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)
    jobs.sync.send(Placed(tenant_id="acme", order_id="1"))
    assert jobs_harness.sync.drain().completed == 1
    jobs_harness.assert_sent(Mailed)


async def test_leaks_between_tenants_are_seen(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs

    @jobs.task(on=Placed)
    async def leaky(event: Placed, ctx: Context) -> None:
        ctx.log.info("fine")
        await ctx.step("fine", lambda: None)
        with across_tenants(reason="a careless report"):
            await jobs.send(Mailed(tenant_id="globex", to="x"))
            ctx.log.info("not fine")
            await ctx.step("not fine", lambda: None)

    await jobs.send(Placed(tenant_id="acme", order_id="1"))
    jobs_harness.assert_no_tenant_leaks()
    await jobs_harness.drain()
    with pytest.raises(TenantLeak, match="a careless report") as caught:
        jobs_harness.assert_no_tenant_leaks()
    message = str(caught.value)
    assert "3 write(s)" in message
    for part in ("sent harness.mailed for 'globex'", "log line for 'acme'", "step not fine for 'acme'"):
        assert part in message


async def test_two_tenants_are_compared(jobs_harness: JobsHarness) -> None:
    jobs = declared_on(jobs_harness.jobs)
    assert (await jobs_harness.assert_tenants_alike(lambda name: Placed(tenant_id=name, order_id="1"))).completed == 2

    remembered: list[str] = []

    @jobs.task(on=Mailed)
    async def remembers(event: Mailed) -> list[str]:
        remembered.append(event.tenant_id)
        return list(remembered)

    with pytest.raises(TenantLeak, match="names 'north'"):
        await jobs_harness.assert_tenants_alike(
            lambda name: [Mailed(tenant_id=name, to="x")], tenants=("north", "south")
        )
