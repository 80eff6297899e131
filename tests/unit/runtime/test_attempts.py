"""How attempts end and what follows: retries, timeouts, cancellation, middleware, threads."""

from __future__ import annotations

import asyncio
import threading
from datetime import UTC, datetime, timedelta
from itertools import pairwise
from typing import Any

import pytest

from cgk_jobs import (
    Context,
    Event,
    Jobs,
    NonRetryable,
    Retry,
    RetryAfter,
    RunCancelled,
    RunFailed,
    TenantMismatch,
    TenantRequired,
    current_tenant,
    tenant_context,
    upcasts,
)
from cgk_jobs.runs import Run
from cgk_jobs.tasks.task import Next
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="attempts.placed"):
    order_id: str = "1"


PLACED = Placed(tenant_id="acme")
STEADY = Retry(max_attempts=3, initial=10, jitter=0)


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def outcome(harness: JobsHarness, *, with_scheduled: bool = False) -> Run:
    """Send one event, drain, and read the run."""
    await harness.jobs.send(PLACED)
    await harness.drain(with_scheduled=with_scheduled)
    (run,) = await harness.runs_of("acme")
    return run


async def test_a_failed_attempt_is_tried_again_when_the_policy_says(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    starts: list[datetime] = []

    @jobs.task(on=Placed, retry=Retry(max_attempts=4, initial=10, factor=3, maximum=50, jitter=0))
    async def broken(event: Placed, ctx: Context) -> None:
        starts.append(jobs_harness.clock.now())
        assert (ctx.attempt, ctx.max_attempts) == (len(starts), 4)
        raise ValueError(f"attempt {ctx.attempt}")

    run = await outcome(jobs_harness, with_scheduled=True)
    assert [(later - earlier).total_seconds() for earlier, later in pairwise(starts)] == [
        10,
        30,
        50,
    ]
    assert (run.state, run.attempt, run.error) == ("failed", 4, "ValueError: attempt 4")
    assert [(one.attempt, one.outcome, one.error) for one in run.attempts] == [
        (number, "failed", f"ValueError: attempt {number}") for number in (1, 2, 3, 4)
    ]


async def test_jitter_stays_within_its_share(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(initial=100, jitter=0.2))
    async def broken(event: Placed) -> None:
        raise ValueError

    for _ in range(40):
        await jobs.send(PLACED)
    await jobs_harness.drain()
    now = jobs_harness.clock.now()
    waits = {(run.due_at - now).total_seconds() for run in await jobs_harness.runs_of("acme") if run.due_at}
    assert 80 <= min(waits) < max(waits) <= 100
    assert len(waits) > 1


@pytest.mark.parametrize(
    ("error", "state", "wait"),
    [
        (NonRetryable("never"), "failed", None),
        (RetryAfter(77), "retrying", 77),
        (RetryAfter(timedelta(minutes=2)), "retrying", 120),
        (RetryAfter(datetime(2026, 1, 1, 1, tzinfo=UTC)), "retrying", 3_600),
        (ConnectionError("down"), "retrying", 10),
        (ValueError("not in retry_on"), "failed", None),
        (ConnectionRefusedError("in both: give_up_on wins"), "failed", None),
    ],
)
async def test_errors_that_choose(
    jobs: Jobs, jobs_harness: JobsHarness, error: Exception, state: str, wait: float | None
) -> None:
    policy = Retry(initial=10, jitter=0, retry_on=(ConnectionError, RetryAfter), give_up_on=(ConnectionRefusedError,))

    @jobs.task(on=Placed, retry=policy)
    async def choosing(event: Placed) -> None:
        raise error

    start = jobs_harness.clock.now()
    run = await outcome(jobs_harness)
    assert run.state == state
    assert (None if run.due_at is None else (run.due_at - start).total_seconds()) == wait


async def test_retry_after_counts_though_the_policy_names_other_errors(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=2, retry_on=(ConnectionError,)))
    async def asked_to_wait(event: Placed) -> None:
        raise RetryAfter(5)

    run = await outcome(jobs_harness)
    assert run.state == "retrying"
    jobs_harness.clock.advance(5)
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.attempt) == ("failed", 2)


async def test_an_async_handler_out_of_time_is_ended(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    ended: list[str] = []

    @jobs.task(on=Placed, timeout=0.05, retry=STEADY)
    async def slow(event: Placed, ctx: Context) -> None:
        try:
            await asyncio.Event().wait()
        finally:
            ended.append("cleaned up")
            assert ctx.cancelled

    run = await outcome(jobs_harness)
    assert ended == ["cleaned up"]
    assert (run.state, run.error) == ("retrying", "TimeoutError: the attempt took longer than its 0.05 s")
    assert [one.outcome for one in run.attempts] == ["timed out"]


async def test_a_plain_handler_out_of_time_stops_at_its_checkpoint(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    stopped = threading.Event()

    @jobs.task(on=Placed, timeout=0.05, retry=STEADY)
    def slow(event: Placed, ctx: Context) -> None:
        try:
            while not threading.Event().wait(0.005):
                ctx.check_cancelled()
        except RunCancelled:
            stopped.set()
            raise

    run = await outcome(jobs_harness)
    assert (run.state, [one.outcome for one in run.attempts]) == ("retrying", ["timed out"])
    assert await asyncio.to_thread(stopped.wait, 10)


async def test_the_deadline_is_the_timeout_from_the_start(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, timeout=90)
    async def timely(event: Placed, ctx: Context) -> float:
        return (ctx.deadline - jobs_harness.clock.now()).total_seconds()

    assert (await outcome(jobs_harness)).result == 90


@pytest.mark.parametrize("swallow", [False, True])
async def test_cancelling_a_running_handler(jobs: Jobs, jobs_harness: JobsHarness, swallow: bool) -> None:
    begun = asyncio.Event()

    @jobs.task(on=Placed, retry=STEADY)
    async def waits(event: Placed) -> str:
        begun.set()
        try:
            await asyncio.Event().wait()
        except asyncio.CancelledError:
            if not swallow:
                raise
        return "went on to its end"

    async with jobs_harness.working():
        sent = await jobs.send(PLACED)
        await begun.wait()
        with tenant_context("acme"):
            assert await jobs.runs.cancel(sent.run_id) == 1
            if swallow:
                assert await jobs.runs.wait(sent.run_id, 10) == "went on to its end"
            else:
                with pytest.raises(RunCancelled):
                    await jobs.runs.wait(sent.run_id, 10)


async def test_a_handler_that_cancels_itself_has_failed(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def gives_up(event: Placed) -> None:
        raise asyncio.CancelledError

    @jobs.task(on=Placed, id="exits", retry=Retry(max_attempts=1))
    def exits(event: Placed) -> None:
        raise SystemExit(3)

    await jobs.send(PLACED)
    await jobs_harness.drain()
    runs = await jobs_harness.runs_of("acme")
    assert {run.state for run in runs} == {"failed"}
    assert {run.error for run in runs} == {
        "RuntimeError: the handler ended itself by CancelledError",
        "RuntimeError: the handler raised SystemExit",
    }


async def test_middleware_wraps_in_the_order_given(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[str] = []

    def layer(name: str) -> Any:
        async def middleware(ctx: Context, call_next: Next) -> Any:
            seen.append(f"{name} in {current_tenant()} {ctx.attempt}")
            result = await call_next()
            seen.append(f"{name} out")
            return f"{name}({result})"

        return middleware

    @jobs.task(on=Placed, middleware=[layer("outer"), layer("inner")])
    def handler(event: Placed) -> str:
        seen.append("handler")
        return "result"

    run = await outcome(jobs_harness)
    assert run.result == "outer(inner(result))"
    assert seen == ["outer in acme 1", "inner in acme 1", "handler", "inner out", "outer out"]


async def test_middleware_that_raises_fails_the_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    async def refuses(ctx: Context, call_next: Next) -> Any:
        raise NonRetryable("closed today")

    @jobs.task(on=Placed, middleware=[refuses])
    async def handler(event: Placed) -> None:
        raise AssertionError("never called")

    run = await outcome(jobs_harness)
    assert (run.state, run.error) == ("failed", "NonRetryable: closed today")


async def test_plain_handlers_run_in_threads_with_their_tenant(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    barrier = threading.Barrier(2, timeout=20)

    @jobs.task(on=Placed)
    def in_thread(event: Placed, ctx: Context) -> list[Any]:
        barrier.wait()  # both run at the same time
        inside = ctx.sync.step(
            "step", lambda: [current_tenant(), threading.get_ident() == threading.main_thread().ident]
        )
        ctx.sync.progress(0.5)
        return [current_tenant(), *inside]

    for tenant in ("acme", "globex"):
        await jobs.send(Placed(tenant_id=tenant))
    await jobs_harness.drain(raise_failures=True)
    for tenant in ("acme", "globex"):
        (run,) = await jobs_harness.runs_of(tenant)
        assert run.result == [tenant, tenant, False]


async def test_the_blocking_context_sleeps_and_sends(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    class Done(Event, name="attempts.done"):
        pass

    @jobs.task(on=Placed)
    def in_thread(event: Placed, ctx: Context) -> str:
        ctx.sync.sleep(60)
        ctx.sync.send(Done(tenant_id=event.tenant_id))
        return "slept"

    run = await outcome(jobs_harness)
    assert run.state == "waiting"
    jobs_harness.refute_sent(Done)
    jobs_harness.clock.advance(60)
    await jobs_harness.drain()
    jobs_harness.assert_sent(Done, count=1)


async def test_the_blocking_context_is_refused_in_an_async_handler(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def wrong(event: Placed, ctx: Context) -> None:
        ctx.sync.step("x", list)

    run = await outcome(jobs_harness)
    assert run.error is not None
    assert "await ctx itself" in run.error


async def test_a_thread_the_handler_starts_has_no_tenant(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[str] = []

    def other() -> None:
        try:
            seen.append(current_tenant())
        except TenantRequired:
            seen.append("none")

    @jobs.task(on=Placed)
    def handler(event: Placed) -> None:
        thread = threading.Thread(target=other)
        thread.start()
        thread.join()

    await outcome(jobs_harness)
    assert seen == ["none"]


async def test_a_handler_can_not_act_for_another_tenant(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def crosses(event: Placed, ctx: Context) -> None:
        with pytest.raises(TenantMismatch):
            await ctx.send(Placed(tenant_id="globex"))
        with pytest.raises(TenantMismatch), tenant_context("globex"):
            pass

    assert (await outcome(jobs_harness)).state == "completed"
    jobs_harness.refute_sent(Placed, tenant_id="globex")


async def test_a_failed_run_tells_who_waits(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def broken(event: Placed) -> None:
        raise ValueError("no such order")

    async with jobs_harness.working():
        with pytest.raises(RunFailed, match="no such order") as caught:
            await jobs.trigger_and_wait(PLACED, timeout=10)
    assert caught.value.error == "ValueError: no such order"


# -- stored payloads ----------------------------------------------------------------------------------------------------


class PriceOld(Event, name="attempts.price"):
    pounds: int


class PriceNew(Event, name="attempts.price", version=2):
    pence: int

    @upcasts(1)
    @staticmethod
    def to_pence(payload: dict[str, Any]) -> dict[str, Any]:
        return {"tenant_id": payload["tenant_id"], "pence": payload["pounds"] * 100}


async def test_an_older_payload_is_brought_up_to_date(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    seen: list[int] = []

    @jobs.task(on=PriceNew)
    async def price(event: PriceNew) -> None:
        seen.append(event.pence)

    await jobs.declare()
    await jobs.send(PriceNew(tenant_id="acme", pence=5))
    old = Jobs(provider=jobs.provider, clock=jobs_harness.clock)
    await old.send(PriceOld(tenant_id="acme", pounds=3))
    await jobs_harness.drain(raise_failures=True)
    assert seen == [5, 300]


async def test_a_newer_payload_waits_for_newer_code_unspent(jobs_harness: JobsHarness) -> None:
    @jobs_harness.jobs.task(on=PriceOld)
    async def price(event: PriceOld) -> None:
        raise AssertionError("never called")

    await jobs_harness.jobs.declare()
    new = Jobs(provider=jobs_harness.jobs.provider, clock=jobs_harness.clock)
    await new.send(PriceNew(tenant_id="acme", pence=5))
    drained = await jobs_harness.drain()
    assert drained.put_back == 1
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.attempt, run.held_by) == ("queued", 1, "newer-version:price")


@pytest.mark.parametrize(
    "payload", ['{"tenant_id":"acme","order_id":5}', '{"tenant_id":"acme","colour":"red"}', "{", "[]"]
)
async def test_a_poisoned_payload_fails_at_once_and_alone(jobs_harness: JobsHarness, payload: str) -> None:
    from cgk_jobs.engine.records import NewEvent

    @jobs_harness.jobs.task(on=Placed, retry=STEADY)
    async def handler(event: Placed) -> None: ...

    await jobs_harness.jobs.declare()
    await jobs_harness.jobs.provider.store.insert([NewEvent("acme", "attempts.placed", 1, payload)])
    await jobs_harness.jobs.send(PLACED)
    drained = await jobs_harness.drain()
    assert (drained.failed, drained.completed) == (1, 1)
