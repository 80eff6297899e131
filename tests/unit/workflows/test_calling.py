"""ctx.call, gather and map: runs of runs."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest
from pydantic import BaseModel

from cgk_jobs import (
    CallTooDeep,
    Context,
    Event,
    Jobs,
    Limit,
    Retry,
    RunCancelled,
    RunExpired,
    RunFailed,
    TenantMismatch,
    across_tenants,
    tenant_context,
)
from cgk_jobs.runs import Run
from cgk_jobs.tasks.task import Task
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="calling.placed"):
    order_id: str = "1"


class Number(BaseModel):
    n: int


ONCE = Retry(max_attempts=1)
PLACED = Placed(tenant_id="acme")


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


def double(jobs: Jobs) -> Task[Number]:
    @jobs.task(id="double", retry=ONCE)
    async def double(payload: Number) -> int:
        if payload.n < 0:
            raise ValueError(f"{payload.n} is negative")
        return payload.n * 2

    return double


async def parent(harness: JobsHarness, **options: Any) -> Run:
    sent = await harness.jobs.send(PLACED, **options)
    await harness.drain()
    with tenant_context("acme"):
        return await harness.jobs.runs.get(sent.run_id)


async def test_a_call_is_a_run_of_its_own(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> list[Any]:
        return [await ctx.call(task, Number(n=1)), await ctx.call(task, Number(n=2)), ctx.attempt]

    run = await parent(jobs_harness)
    assert (run.state, run.result) == ("completed", [2, 4, 1])
    with tenant_context("acme"):
        page = await jobs.runs.list(parent_id=run.id)
    assert [(child.parent_id, child.task, child.tenant_id, child.result) for child in page] == [
        (run.id, "double", "acme", 4),
        (run.id, "double", "acme", 2),
    ]
    assert [(step.name, step.result["state"]) for step in run.steps] == [
        ("double", "completed"),
        ("double#2", "completed"),
    ]


async def test_a_waiting_parent_has_no_slot(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=ONCE, concurrency=Limit(1))
    async def handler(event: Placed, ctx: Context) -> Any:
        return await ctx.call(task, Number(n=int(event.order_id)))

    harness = jobs_harness
    harness._concurrency = 1
    for number in range(30):
        await jobs.send(Placed(tenant_id="acme", order_id=str(number)))
    await harness.drain()
    results = [run.result for run in await harness.runs_of("acme") if run.parent_id is None]
    assert results == [number * 2 for number in range(30)]


async def test_a_failed_child_fails_its_parent_at_once(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=Retry(max_attempts=5, initial=1))
    async def handler(event: Placed, ctx: Context) -> Any:
        return await ctx.call(task, Number(n=-1))

    run = await parent(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1), "the same answer would come again"
    assert run.error is not None
    assert run.error.startswith("RunFailed: run ")
    assert run.error.endswith("of double, which was called, failed: ValueError: -1 is negative")


async def test_endings_travel_back_typed(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    failing = double(jobs)

    @jobs.task(expires=5, queue="later")
    async def never(payload: Number) -> None: ...

    @jobs.task()
    async def sleeps(payload: Number, ctx: Context) -> None:
        await ctx.sleep(3_600)

    caught: list[Any] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> str:
        for task, n in ((failing, -1), (never, 1), (sleeps, 1)):
            try:
                await ctx.call(task, Number(n=n))
            except RunFailed as error:
                caught.append((type(error), error.error, error.run_id != ""))
            except (RunExpired, RunCancelled) as error:
                caught.append(type(error))
        return "went on"

    await jobs.queues.pause("later")
    await jobs.send(PLACED)
    await jobs_harness.drain()
    jobs_harness.clock.advance(10)
    await jobs_harness.drain()
    with tenant_context("acme"):
        (sleeping,) = await jobs.runs.list(task="sleeps")
        await jobs.runs.cancel(sleeping.id)
    await jobs_harness.drain()
    run = next(run for run in await jobs_harness.runs_of("acme") if run.parent_id is None)
    assert run.result == "went on"
    assert caught[-3:] == [(RunFailed, "ValueError: -1 is negative", True), RunExpired, RunCancelled]


async def test_gather_calls_several_at_once(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> Any:
        calls = [ctx.call(task, Number(n=number)) for number in range(5)]
        first = await ctx.gather(*calls)
        second = await ctx.gather(ctx.call(task, Number(n=7)), ctx.call(task, Number(n=-7)), return_exceptions=True)
        nothing = await ctx.gather()
        return [first, second[0], str(second[1]).partition(": ")[2], nothing]

    run = await parent(jobs_harness)
    assert run.result == [[0, 2, 4, 6, 8], 14, "ValueError: -7 is negative", []]


async def test_a_group_waits_for_all_and_raises_the_first_failure(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1))
    async def handler(event: Placed, ctx: Context) -> Any:
        return await ctx.map(task, [Number(n=number) for number in (1, -2, 3, -4)])

    run = await parent(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1)
    assert "-2 is negative" in str(run.error)
    assert len(await jobs_harness.runs_of("acme", state="completed")) == 2


async def test_the_strands_of_a_handler_may_call_too(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> Any:
        return await asyncio.gather(*[ctx.call(task, Number(n=number), name=f"call {number}") for number in range(5)])

    assert (await parent(jobs_harness)).result == [0, 2, 4, 6, 8]


async def test_map_over_many_and_no_more_than_some_at_a_time(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    running, most = 0, 0

    @jobs.task()
    async def work(payload: Number) -> int:
        nonlocal running, most
        running += 1
        most = max(most, running)
        for _ in range(3):
            await asyncio.sleep(0)
        running -= 1
        return payload.n

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> int:
        return sum(await ctx.map(work, [Number(n=number) for number in range(2_300)], concurrency=7))

    run = await parent(jobs_harness)
    assert run.result == sum(range(2_300))
    assert most == 7
    assert [step.name for step in run.steps] == ["map"], "children are runs of their own, not steps"


@pytest.mark.parametrize("moment", ["before", "after"])
async def test_a_crash_between_calls_neither_loses_nor_doubles_one(
    jobs: Jobs, jobs_harness: JobsHarness, moment: str
) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=Retry(max_attempts=3))
    async def handler(event: Placed, ctx: Context) -> Any:
        results = await ctx.map(task, [Number(n=number) for number in range(20)], concurrency=3)
        await ctx.step("note", len, results)
        return [*results, await ctx.call(task, Number(n=50))]

    await jobs.send(PLACED)
    jobs_harness.crash_at_step(handler, 1, moment=moment)  # type: ignore[arg-type]
    drained = await jobs_harness.drain(with_scheduled=True)
    assert drained.crashed == 1
    runs = await jobs_harness.runs_of("acme")
    assert len(runs) == 22
    assert next(run for run in runs if run.parent_id is None).result == [*range(0, 40, 2), 100]


async def test_a_crash_within_a_large_group_goes_on_where_it_was(
    jobs: Jobs, jobs_harness: JobsHarness, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("cgk_jobs.runtime.calling.AT_ONCE", 10)
    task = double(jobs)
    portions: list[int] = []
    spawn = jobs_harness._store.spawn

    async def dies_at_the_third(*args: Any, first: int, **options: Any) -> bool:
        portions.append(first)
        if len(portions) == 3:
            raise ConnectionError("as if the process had died")
        return await spawn(*args, first=first, **options)

    monkeypatch.setattr(jobs_harness._store, "spawn", dies_at_the_third)

    @jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=60, jitter=0))
    async def handler(event: Placed, ctx: Context) -> int:
        return len(await ctx.map(task, [Number(n=number) for number in range(45)], concurrency=4))

    await jobs.send(PLACED)
    await jobs_harness.drain()
    assert len(await jobs_harness.runs_of("acme", state="completed")) == 20, "those made before have run meanwhile"
    await jobs_harness.drain(with_scheduled=True)
    runs = await jobs_harness.runs_of("acme")
    assert next(run for run in runs if run.parent_id is None).result == 45
    assert (len(runs), portions) == (46, [0, 10, 20, 20, 30, 40])


async def test_another_number_of_calls_is_a_change_of_code(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)
    sizes = iter((3, 4))

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> Any:
        return await ctx.map(task, [Number(n=number) for number in range(next(sizes))])

    run = await parent(jobs_harness)
    assert "'map' called 3 runs when it was first come to, and now is to call 4" in str(run.error)


async def test_another_tenant_is_refused(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> None:
        with across_tenants(reason="a test"):
            await ctx.call(handler, Placed(tenant_id="globex"))

    run = await parent(jobs_harness)
    assert str(run.error).startswith(f"{TenantMismatch.__name__}: a run of tenant 'acme' can't call one of 'globex'")


async def test_calls_without_end_are_ended(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed)
    async def itself(event: Placed, ctx: Context) -> int:
        return int(await ctx.call(itself, event)) + 1

    run = await parent(jobs_harness)
    runs = await jobs_harness.runs_of("acme")
    assert (run.state, len(runs)) == ("failed", 101)
    deepest = runs[-1]
    assert str(deepest.error).startswith(f"{CallTooDeep.__name__}: itself calls itself 100 calls below the first run")
    assert (deepest.attempt, run.attempt) == (1, 1)


@pytest.mark.parametrize("depth", [3])
async def test_the_depth_is_chosen_by_the_application(jobs_harness: JobsHarness, depth: int) -> None:
    jobs = Jobs(provider=jobs_harness.jobs.provider, clock=jobs_harness.clock, max_call_depth=depth)

    @jobs.task(on=Placed)
    async def itself(event: Placed, ctx: Context) -> None:
        await ctx.call(itself, event)

    with JobsHarness(jobs) as harness:
        await jobs.send(PLACED)
        await harness.drain()
        assert len(await harness.runs_of("acme")) == depth + 1


async def test_wrong_calls_are_refused(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.cron("0 0 * * *", tenants="platform")
    async def nightly(tick: Any) -> None: ...

    errors: list[str] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> None:
        def note(attempt: Any) -> None:
            with pytest.raises(ValueError) as refusal:  # noqa: PT011  # the messages are compared below
                attempt()
            errors.append(str(refusal.value))

        note(lambda: ctx.call("double", Number(n=1)))  # type: ignore[arg-type]
        note(lambda: ctx.call(task, event))
        note(lambda: ctx.call(nightly, event))
        for attempt in (ctx.gather(ctx.step("x", len, "x")), ctx.map(task, [], concurrency=0)):  # type: ignore[arg-type]
            with pytest.raises(ValueError) as refusal:  # noqa: PT011
                await attempt
            errors.append(str(refusal.value))

    with pytest.warns(RuntimeWarning, match="never awaited"):
        run = await parent(jobs_harness)
    assert run.state == "completed", run.error
    expected = ["give the task itself", "takes Number, not Placed", "takes no payload", "not awaited", "at least 1"]
    assert [part in error for part, error in zip(expected, errors, strict=True)] == [True] * 5, errors


async def test_a_retried_parent_retries_the_children_it_failed_for(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    broken = True
    done: list[int] = []

    @jobs.task(retry=ONCE)
    async def work(payload: Number) -> int:
        if broken and payload.n in (2, 4):
            raise ConnectionError("down")
        done.append(payload.n)
        return payload.n

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> Any:
        first = await ctx.gather(*[ctx.call(work, Number(n=number)) for number in range(5)])
        return [*first, await ctx.call(work, Number(n=4)), await ctx.call(work, Number(n=5))]

    run = await parent(jobs_harness)
    assert run.state == "failed"
    with tenant_context("acme"):
        children = [
            child for child in await jobs.runs.list(parent_id=run.id, state="failed") if child.state == "failed"
        ]
        broken = False
        # One is retried by itself first; its parent, which has failed, is not woken by that.
        await jobs.runs.retry(children[0].id)
        await jobs_harness.drain()
        assert (await jobs.runs.get(run.id)).state == "failed"
        await jobs.runs.retry(run.id)
    await jobs_harness.drain()
    again = next(one for one in await jobs_harness.runs_of("acme") if one.parent_id is None)
    assert again.result == [0, 1, 2, 3, 4, 4, 5]
    assert sorted(done) == [0, 1, 2, 3, 4, 4, 5], "what was completed is not run again"


async def test_a_plain_handler_calls_too(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=ONCE)
    def handler(event: Placed, ctx: Context) -> Any:
        one = ctx.sync.call(task, Number(n=1))
        more = ctx.sync.gather(ctx.call(task, Number(n=2)), ctx.call(task, Number(n=3)))
        return [one, *more, *ctx.sync.map(task, [Number(n=4)])]

    assert (await parent(jobs_harness)).result == [2, 4, 6, 8]


async def test_a_paused_tenants_children_wait_with_it(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)

    @jobs.task(on=Placed, retry=ONCE)
    async def handler(event: Placed, ctx: Context) -> Any:
        await ctx.sleep(60)
        return sum(await ctx.map(task, [Number(n=number) for number in range(6)], concurrency=2))

    await jobs.send(PLACED)
    await jobs_harness.drain()
    await jobs.tenants.add("acme")
    await jobs.tenants.pause("acme")
    await jobs_harness.drain(with_scheduled=True)
    await jobs.tenants.resume("acme")
    await jobs_harness.drain(with_scheduled=True)
    run = next(run for run in await jobs_harness.runs_of("acme") if run.parent_id is None)
    assert run.result == 30


async def test_a_caller_cancelled_from_elsewhere_makes_no_more_runs(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    task = double(jobs)
    told: list[BaseException] = []

    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        # As another process would: this one's worker has not heard of it.
        await jobs.provider.store.cancel([ctx.claim.key])
        try:
            await ctx.map(task, [Number(n=1), Number(n=2)])
        except RunCancelled as error:
            told.append(error)
            with pytest.raises(RunCancelled):
                ctx.check_cancelled()
            raise

    run = await parent(jobs_harness)
    assert (run.state, run.error, len(told)) == ("cancelled", "cancelled while it ran", 1)
    with tenant_context("acme"):
        assert list(await jobs.runs.list(parent_id=run.id)) == []
