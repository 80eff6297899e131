"""Runs that wait: cancelled at every point (S44), nested deeply on one slot (S45), killed between calling and waiting."""

from __future__ import annotations

import asyncio
from typing import Any, Literal

import pytest
from pydantic import BaseModel

from cgk_jobs import Context, Event, Limit, Retry, tenant_context
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="workflow.placed"):
    order_id: str = "1"


class Paid(Event, name="workflow.paid"):
    order_id: str


class Level(BaseModel):
    depth: int


class Nobody(BaseModel):
    """The payload of a task that never ends by itself."""


POINTS = ("queued", "sleeping", "waiting", "calling", "retrying a step", "running")


@pytest.mark.parametrize("point", POINTS)
async def test_s44_a_run_cancelled_at_any_point_never_goes_on(jobs_harness: JobsHarness, point: str) -> None:
    jobs = jobs_harness.jobs
    passed: list[str] = []
    begun = asyncio.Event()

    def broken() -> None:
        raise ConnectionError

    @jobs.task()
    async def never(payload: Nobody, ctx: Context) -> None:
        await ctx.sleep(3_600)

    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        if point == "sleeping":
            await ctx.sleep(60)
        elif point == "waiting":
            await ctx.wait_for(Paid, "order_id", 3_600)
        elif point == "calling":
            await ctx.call(never, Nobody())
        elif point == "retrying a step":
            await ctx.step("broken", broken, retry=Retry(max_attempts=9, initial=60))
        elif point == "running":
            begun.set()
            await asyncio.Event().wait()
        passed.append(point)

    sent = await jobs.send(Placed(tenant_id="acme"))
    with tenant_context("acme"):
        if point == "running":
            async with jobs_harness.working():
                await begun.wait()
                assert await jobs.runs.cancel(sent.run_id) == 1
                await jobs_harness.drain()
        else:
            if point != "queued":
                await jobs_harness.drain()
                assert (await jobs.runs.get(sent.run_id)).state == "waiting"
            assert await jobs.runs.cancel(sent.run_id) >= 1
        await jobs.send(Paid(tenant_id="acme", order_id="1"))
        await jobs_harness.drain(with_scheduled=True)
        run = await jobs.runs.get(sent.run_id)
    assert (run.state, passed) == ("cancelled", [])


@pytest.mark.parametrize("limit", [None, Limit(1)])
async def test_s45_calls_nested_50_deep_finish_on_one_slot(limit: Limit | None) -> None:
    with JobsHarness(concurrency=1) as harness:

        @harness.jobs.task(concurrency=limit)
        async def level(payload: Level, ctx: Context) -> int:
            if payload.depth == 50:
                return 1
            below = await ctx.call(level, Level(depth=payload.depth + 1))
            return int(below) + 1

        with tenant_context("acme"):
            sent = await level.send(Level(depth=1))
            await harness.drain()
            run = await harness.jobs.runs.get(sent.run_id)
        assert (run.state, run.result) == ("completed", 50)
        assert len(await harness.runs_of("acme")) == 50


async def test_s45_fans_within_fans_finish_on_one_slot() -> None:
    with JobsHarness(concurrency=1) as harness:

        @harness.jobs.task()
        async def level(payload: Level, ctx: Context) -> int:
            if payload.depth == 4:
                return 1
            below = await ctx.map(level, [Level(depth=payload.depth + 1)] * 5, concurrency=2)
            return sum(below)

        with tenant_context("acme"):
            sent = await level.send(Level(depth=1))
            await harness.drain()
            run = await harness.jobs.runs.get(sent.run_id)
        assert run.result == 5**3


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", range(1, 5))
async def test_a_workflow_whose_worker_dies_at_any_step_does_each_thing_once(
    jobs_harness: JobsHarness, step: int, moment: Literal["before", "after"]
) -> None:
    jobs = jobs_harness.jobs
    done: list[Any] = []

    @jobs.task()
    async def pack(payload: Level, ctx: Context) -> int:
        await ctx.step("pack", done.append, payload.depth)
        return payload.depth

    @jobs.task(on=Placed)
    async def order(event: Placed, ctx: Context) -> list[int]:
        await ctx.step("reserve", done.append, "reserve")
        await ctx.sleep(60)
        await ctx.wait_for(Paid, "order_id")
        packed = await ctx.map(pack, [Level(depth=number) for number in range(5)], concurrency=2)
        await ctx.step("ship", done.append, "ship")
        again = await ctx.gather(ctx.call(pack, Level(depth=9)))
        await ctx.step("end", done.append, "end")
        return [*packed, *again]

    jobs_harness.crash_at_step(order, step, moment=moment)
    await jobs.send(Placed(tenant_id="acme"))
    await jobs_harness.drain(with_scheduled=True)
    await jobs.send(Paid(tenant_id="acme", order_id="1"))
    await jobs_harness.drain(with_scheduled=True)
    runs = await jobs_harness.runs_of("acme")
    (run,) = [run for run in runs if run.parent_id is None and run.task == "order"]
    assert (run.state, run.result) == ("completed", [0, 1, 2, 3, 4, 9])
    assert len(runs) == 7
    names = ["reserve", "sleep", "ship", "end"]
    lost = names[step - 1] if moment == "before" else None
    assert [done.count(name) for name in ("reserve", "ship", "end")] == [
        2 if name == lost else 1 for name in ("reserve", "ship", "end")
    ]
    assert sorted(one for one in done if isinstance(one, int)) == [0, 1, 2, 3, 4, 9]
