"""ctx.wait_for: an event of the same tenant, before or after the wait began, once."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from typing import Any

import pytest

from cgk_jobs import (
    Context,
    Event,
    Jobs,
    Retry,
    Send,
    Tick,
    UnknownEvent,
    Unsupported,
    WaitTimeout,
    across_tenants,
    tenant_context,
)
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="waiting.placed"):
    order_id: str = "1"


class Paid(Event, name="waiting.paid"):
    order_id: str
    cents: int = 0
    at: datetime | None = None


class Nameless(Event):
    order_id: str


ONCE = Retry(max_attempts=1)


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


def waiter(jobs: Jobs, match: Any = "order_id", timeout: float | None = None, retry: Retry = ONCE) -> None:
    @jobs.task(on=Placed, id="waiter", retry=retry)
    async def wait(event: Placed, ctx: Context) -> int:
        paid = await ctx.wait_for(Paid, match, timeout)
        assert type(paid) is Paid
        return paid.cents


async def runs(harness: JobsHarness, tenant_id: str = "acme") -> list[Run]:
    return [run for run in await harness.runs_of(tenant_id) if run.task == "waiter"]


def placed(order_id: str = "1", tenant_id: str = "acme") -> Placed:
    return Placed(tenant_id=tenant_id, order_id=order_id)


def paid(order_id: str = "1", cents: int = 5, tenant_id: str = "acme") -> Paid:
    return Paid(tenant_id=tenant_id, order_id=order_id, cents=cents)


async def test_a_run_waits_without_slot_and_is_made_ready_by_its_event(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs)
    for order_id in ("1", "2"):
        await jobs.send(placed(order_id))
    drained = await jobs_harness.drain()
    assert drained.waiting == 2
    assert [run.due_at for run in await runs(jobs_harness)] == [None, None]
    await jobs.send(paid("3"))
    await jobs.send(paid("2", 7))
    await jobs_harness.drain()
    assert [(run.state, run.result) for run in await runs(jobs_harness)] == [("waiting", None), ("completed", 7)]
    assert [step.pending for run in await runs(jobs_harness) for step in run.steps] == [True, False]
    await jobs.send(paid("1", 8))
    await jobs_harness.drain()
    assert [run.result for run in await runs(jobs_harness)] == [8, 7]


@pytest.mark.parametrize("listened", [True, False])
@pytest.mark.parametrize("known", [True, False])
async def test_an_event_sent_before_the_wait_is_found(
    jobs: Jobs, jobs_harness: JobsHarness, listened: bool, known: bool
) -> None:
    waiter(jobs)
    if listened:

        @jobs.task(on=Paid)
        async def listens(event: Paid) -> None: ...

    if known:
        # The kind of wait is known to the ledger: its events leave marks.
        await jobs.send(placed("0"))
        await jobs_harness.drain()
    await jobs.send(paid(cents=1))
    jobs_harness.clock.advance(1)
    await jobs.send(placed())
    await jobs.send(paid(cents=2))
    await jobs.send(paid(cents=3))
    await jobs_harness.drain()
    (run,) = [run for run in await runs(jobs_harness) if run.payload["order_id"] == "1"]
    assert (run.state, run.result) == ("completed", 2), "the first since the run was made"


async def test_each_wait_takes_the_next_event(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=ONCE)
    async def three(event: Placed, ctx: Context) -> list[int]:
        return [(await ctx.wait_for(Paid, {"order_id": "1"})).cents for _ in range(3)]

    await jobs.send(placed())
    await jobs.send(paid(cents=1))
    await jobs_harness.drain()
    await jobs.send(paid(cents=2))
    await jobs.send(paid(cents=3))
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert run.result == [1, 2, 3]
    assert [step.name for step in run.steps] == ["waiting.paid", "waiting.paid#2", "waiting.paid#3"]


async def test_everybody_who_waits_gets_it(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs, match=None)
    await jobs.send_many([placed(str(number)) for number in range(20)])
    await jobs_harness.drain()
    await jobs.send(paid("x", 4))
    await jobs_harness.drain()
    assert [run.result for run in await runs(jobs_harness)] == [4] * 20


async def test_another_tenants_event_is_none(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs)
    await jobs.send(placed())
    await jobs.send(paid(tenant_id="globex"))
    await jobs_harness.drain()
    await jobs.send(paid(tenant_id="globex"))
    await jobs_harness.drain()
    (run,) = await runs(jobs_harness)
    assert run.state == "waiting"


async def test_what_has_not_happened_for_everybody_does_not_count(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs, timeout=60)

    @jobs.task(on=Paid)
    async def listens(event: Paid) -> None: ...

    for known in (False, True):
        sent = await jobs.send(placed())
        await jobs.send(paid(), delay=10_000)
        await listens.send(paid())
        first = await jobs.send(paid("9"), key=f"k{known}")
        await jobs.send(paid("9"), key=f"k{known}")
        with tenant_context("acme"):
            await jobs_harness.drain()
            await jobs.runs.replay(first.run_id)
            await jobs_harness.drain()
            assert (await jobs.runs.get(sent.run_id)).state == "waiting"


async def test_a_wait_has_its_time(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs, timeout=3_600, retry=Retry(max_attempts=5, initial=1))
    await jobs.send(placed())
    await jobs_harness.drain()
    (run,) = await runs(jobs_harness)
    assert run.due_at == jobs_harness.clock.now() + timedelta(hours=1)
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await runs(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1), "another attempt would get the same answer"
    assert str(run.error).startswith("WaitTimeout: no waiting.paid came until 2026-01-01 01:00:00 UTC")
    await jobs.send(paid())
    await jobs_harness.drain()
    assert (await runs(jobs_harness))[0].state == "failed"


async def test_a_wait_that_is_over_answers_the_same_in_every_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1))
    async def patient(event: Placed, ctx: Context) -> str:
        try:
            await ctx.wait_for(Paid, "order_id", timedelta(minutes=1))
        except WaitTimeout:
            if ctx.attempt < 3:
                await jobs.send(paid())
                raise ValueError("later") from None
            return "went on"
        return "paid"

    await jobs.send(placed())
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert run.result == "went on"


async def test_the_event_that_comes_with_the_end_of_the_wait_wins(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs, timeout=60)
    await jobs.send(placed())
    await jobs_harness.drain()
    jobs_harness.clock.advance(61)
    await jobs.send(paid(cents=9))
    await jobs_harness.drain()
    (run,) = await runs(jobs_harness)
    assert (run.state, run.result) == ("completed", 9)


async def test_several_fields_and_their_json_form(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    at = datetime(2026, 1, 2, tzinfo=UTC)
    waiter(jobs, match={"order_id": "1", "at": at, "cents": 5})
    await jobs.send(placed())
    await jobs_harness.drain()
    await jobs.send(Paid(tenant_id="acme", order_id="1", cents=5))
    await jobs.send(Paid(tenant_id="acme", order_id="1", cents=6, at=at))
    await jobs_harness.drain()
    assert (await runs(jobs_harness))[0].state == "waiting"
    await jobs.send(Paid(tenant_id="acme", order_id="1", cents=5, at=at))
    await jobs_harness.drain()
    assert (await runs(jobs_harness))[0].state == "completed"


@pytest.mark.parametrize(
    ("match", "message"),
    [
        ("cents", "Placed, which this run was made of, has no field 'cents'"),
        ({"price": 1}, "'price' is none of its fields; match one of: at, cents, order_id"),
        ({"order_id": 1}, "'order_id' never has this value"),
        ({"tenant_id": "globex"}, "'tenant_id' is the run's own in any case"),
        ({}, "name a field, or leave match= out"),
        ({"order_id": "x" * 2_000}, "match by something shorter"),
    ],
)
async def test_a_match_that_can_never_be_is_refused(
    jobs: Jobs, jobs_harness: JobsHarness, match: Any, message: str
) -> None:
    waiter(jobs, match)
    await jobs.send(placed())
    await jobs_harness.drain()
    (run,) = await runs(jobs_harness)
    assert run.state == "failed"
    assert message in str(run.error)
    assert run.steps == ()


async def test_an_event_is_named_too_if_it_is_known(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    refused: list[str] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> str:
        for bad in ("waiting.unheard", Nameless):
            with pytest.raises(ValueError, match=r"unheard|no event name") as refusal:
                await ctx.wait_for(bad)
            refused.append(type(refusal.value).__name__)
        known = await ctx.wait_for("order.created", {"order_id": "9"}, 0)
        return known.event_name

    await jobs.send(placed())
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert refused == [UnknownEvent.__name__, "InvalidEvent"]
    assert "no order.created came" in str(run.error)


async def test_waits_and_sleeps_side_by_side(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[str] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> list[Any]:
        async def nap() -> str:
            await ctx.sleep(60)
            await ctx.step("after nap", calls.append, "nap")
            return "napped"

        async def slow_step() -> str:
            for _ in range(20):
                await asyncio.sleep(0)
            calls.append("slow")
            return "slow"

        async with asyncio.TaskGroup() as group:
            napped = group.create_task(nap())
            paid_for = group.create_task(ctx.wait_for(Paid, "order_id", 3_600))
            slow = group.create_task(ctx.step("slow", slow_step))
        return [napped.result(), paid_for.result().order_id, slow.result()]

    await jobs.send(placed())
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, calls) == ("waiting", ["slow"]), "a step is not broken off by a wait beside it"
    assert run.due_at == jobs_harness.clock.now() + timedelta(minutes=1)
    jobs_harness.clock.advance(60)
    await jobs_harness.drain()
    await jobs.send(paid())
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert run.result == ["napped", "1", "slow"]
    assert calls == ["slow", "nap"]


async def test_a_strand_left_behind_does_nothing_more(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[str] = []
    hold, reached = asyncio.Event(), asyncio.Event()
    kept: list[asyncio.Task[None]] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> None:
        async def left() -> None:
            await ctx.step("one", calls.append, "one")
            reached.set()
            try:
                await hold.wait()
            finally:
                calls.append("ended")
            await ctx.step("two", calls.append, "two")

        kept.append(asyncio.create_task(left()))
        await ctx.step("begin", calls.append, "begin")
        await reached.wait()

    await jobs.send(placed())
    await jobs_harness.drain()
    assert set(calls) == {"begin", "one", "ended"}
    assert kept[0].cancelled()


async def test_a_plain_handler_waits_too(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=ONCE)
    def handler(event: Placed, ctx: Context) -> int:
        return int(ctx.sync.wait_for(Paid, "order_id").cents)

    await jobs.send(placed())
    await jobs_harness.drain()
    await jobs.send_many([Send(paid(cents=3))])
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert run.result == 3


async def test_nothing_is_waited_for_inside_a_step(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("nap", ctx.sleep, 5)

    await jobs.send(placed())
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.attempt) == ("failed", 1)
    assert "a sleep inside the function of a step" in str(run.error)


async def test_a_retry_by_hand_waits_anew(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs, timeout=60)
    sent = await jobs.send(placed())
    await jobs_harness.drain(with_scheduled=True)
    with tenant_context("acme"):
        await jobs.runs.retry(sent.run_id)
    await jobs_harness.drain()
    assert (await runs(jobs_harness))[0].state == "waiting"
    await jobs.send(paid(cents=6))
    await jobs_harness.drain()
    assert (await runs(jobs_harness))[0].result == 6


async def test_a_direct_run_is_handed_its_event(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    waiter(jobs)
    task = jobs.tasks["waiter"]
    assert await jobs_harness.run_task(task, placed(), steps={"waiting.paid": paid(cents=4)}) == 4
    with pytest.raises(Unsupported, match="direct run"):
        await jobs_harness.run_task(task, placed())


async def test_the_installation_itself_waits_for_no_event(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.cron("0 * * * *", tenants="platform", retry=ONCE)
    async def hourly(tick: Tick, ctx: Context) -> None:
        await ctx.wait_for(Paid)

    jobs_harness.clock.advance(3_600)
    await jobs_harness.drain()
    with across_tenants(reason="a test"):
        (run,) = await jobs.runs.list()
    assert str(run.error).startswith("Unsupported: ctx.wait_for is not supported by a run of the installation itself")
