"""Flow control and workflows together: calls stand for themselves, trees are cancelled, waits see every event."""

from __future__ import annotations

import asyncio
from collections.abc import Callable
from typing import Any

import pytest

from cgk_jobs import (
    Batch,
    Context,
    Debounce,
    DuplicateKey,
    Event,
    Jobs,
    Latest,
    Retry,
    Throttle,
    Unique,
    tenant_context,
)
from cgk_jobs.tasks.task import Task
from cgk_jobs.testing import JobsHarness


class Begin(Event, name="together.begin"):
    number: int = 0


class Part(Event, name="together.part"):
    key: str = "a"
    number: int = 0


BEGIN = Begin(tenant_id="acme")


def part(number: int, key: str = "a") -> Part:
    return Part(tenant_id="acme", key=key, number=number)


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


@pytest.mark.parametrize(
    "options", [{"debounce": Debounce(60)}, {"throttle": Throttle(1, 60)}, {"unique": Unique(by="number")}], ids=str
)
async def test_a_call_is_a_run_of_its_own(jobs: Jobs, jobs_harness: JobsHarness, options: dict[str, Any]) -> None:
    declare: Callable[..., Callable[[Callable[..., Any]], Task[Part]]] = jobs.task

    @declare(on=Part, **options)
    async def child(event: Part) -> int:
        return event.number

    @jobs.task(on=Begin)
    async def parent(event: Begin, ctx: Context) -> list[int]:
        return await ctx.gather(*[ctx.call(child, part(number)) for number in range(3)])

    sent = await jobs.send(BEGIN)
    await jobs_harness.drain(raise_failures=True)
    with tenant_context("acme"):
        assert await jobs.runs.wait(sent.run_id, 0) == [0, 1, 2]


async def test_a_call_of_a_batching_task_is_a_batch_of_one(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Part, batch=Batch(10, 60))
    async def child(events: list[Part]) -> list[int]:
        return [event.number for event in events]

    @jobs.task(on=Begin)
    async def parent(event: Begin, ctx: Context) -> list[int]:
        answer: list[int] = await ctx.call(child, part(5))
        return answer

    await jobs.send(part(1))
    sent = await jobs.send(BEGIN)
    await jobs_harness.drain(raise_failures=True)
    with tenant_context("acme"):
        assert await jobs.runs.wait(sent.run_id, 0) == [5]


async def test_a_call_beside_a_unique_run_fails_and_says_so(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    caught: list[str] = []

    @jobs.task(on=Part, unique=Unique(by="key"))
    async def child(event: Part, ctx: Context) -> None:
        await ctx.sleep(60)

    @jobs.task(on=Begin, retry=Retry(max_attempts=1))
    async def parent(event: Begin, ctx: Context) -> None:
        try:
            await ctx.call(child, part(1))
        except DuplicateKey as error:
            caught.append(str(error))
            raise

    await jobs.send(part(0))
    sent = await jobs.send(BEGIN)
    await jobs_harness.drain()
    with tenant_context("acme"):
        assert (await jobs.runs.get(sent.run_id)).state == "failed"
    assert "has not ended" in caught[0]


async def test_called_runs_keep_their_order(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[int] = []

    @jobs.task(on=Part, ordered_by="key")
    async def child(event: Part, ctx: Context) -> int:
        await ctx.sleep(10 - event.number)
        seen.append(event.number)
        return event.number

    @jobs.task(on=Begin)
    async def parent(event: Begin, ctx: Context) -> list[int]:
        return await ctx.map(child, [part(number) for number in range(4)])

    await jobs.send(part(9))
    sent = await jobs.send(BEGIN)
    await jobs_harness.drain(with_scheduled=True, raise_failures=True)
    assert seen == [9, 0, 1, 2, 3]
    with tenant_context("acme"):
        assert await jobs.runs.wait(sent.run_id, 0) == [0, 1, 2, 3]


@pytest.mark.parametrize("tree", [True, False])
async def test_cancelling_a_parent_takes_its_children(jobs: Jobs, jobs_harness: JobsHarness, tree: bool) -> None:
    finished: list[int] = []
    begun = asyncio.Event()
    go = asyncio.Event()

    @jobs.task(on=Part)
    async def child(event: Part, ctx: Context) -> None:
        if event.number == 0:
            begun.set()
            await go.wait()
        else:
            await ctx.sleep(60)
        finished.append(event.number)

    @jobs.task(on=Begin)
    async def parent(event: Begin, ctx: Context) -> None:
        await ctx.gather(*[ctx.call(child, part(number)) for number in range(3)])
        finished.append(99)

    async with jobs_harness.working():
        sent = await jobs.send(BEGIN)
        await begun.wait()
        with tenant_context("acme"):
            async for run in jobs.runs.watch(sent.run_id):
                if run.state == "waiting":
                    break
            assert await jobs.runs.cancel(sent.run_id, tree=tree) == (4 if tree else 1)
            (first,) = [run for run in await jobs.runs.list(task="child") if run.payload["number"] == 0]
            if tree:
                async for run in jobs.runs.watch(first.id):
                    if run.finished:
                        assert run.state == "cancelled"
        go.set()
    await jobs_harness.drain(with_scheduled=True)
    assert sorted(finished) == ([] if tree else [0, 1, 2])
    with tenant_context("acme"):
        assert (await jobs.runs.get(sent.run_id)).state == "cancelled"
        counts = await jobs.runs.count()
    assert counts == ({"cancelled": 4} if tree else {"cancelled": 1, "completed": 3})


async def test_a_newer_run_takes_the_older_ones_children_too(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    finished: list[int] = []

    @jobs.task(on=Part)
    async def child(event: Part, ctx: Context) -> None:
        await ctx.sleep(60)
        finished.append(event.number)

    @jobs.task(on=Begin, latest=Latest())
    async def parent(event: Begin, ctx: Context) -> None:
        await ctx.call(child, part(event.number))

    for number in range(2):
        await jobs.send(Begin(tenant_id="acme", number=number))
        await jobs_harness.drain()
    await jobs_harness.drain(with_scheduled=True)
    assert finished == [1]
    with tenant_context("acme"):
        assert await jobs.runs.count() == {"cancelled": 2, "completed": 2}


@pytest.mark.parametrize("early", [True, False])
@pytest.mark.parametrize(
    "options",
    [{"debounce": Debounce(600)}, {"batch": Batch(10, 600)}, {"unique": Unique()}, {"latest": Latest()}],
    ids=str,
)
async def test_a_wait_sees_the_event_whatever_became_of_its_run(
    jobs: Jobs, jobs_harness: JobsHarness, options: dict[str, Any], early: bool
) -> None:
    declare: Callable[..., Callable[[Callable[..., Any]], Task[Part]]] = jobs.task

    @declare(on=Part, **options)
    async def listener(event: Any) -> None: ...

    @jobs.task(on=Begin)
    async def waiter(event: Begin, ctx: Context) -> int:
        if event.number:
            await ctx.sleep(10)
        found = await ctx.wait_for(Part, match={"number": 2})
        assert found is not None
        return found.number

    # The kind of wait is known from the second on: until then a wait looks over the runs themselves.
    await jobs.send(Begin(tenant_id="acme"))
    await jobs_harness.drain()
    sent = await jobs.send(Begin(tenant_id="acme", number=1))
    await jobs_harness.drain()
    if not early:
        jobs_harness.clock.advance(10)
        await jobs_harness.drain()
    for number in range(4):
        await jobs.send(part(number))
    jobs_harness.clock.advance(10)
    await jobs_harness.drain()
    with tenant_context("acme"):
        assert await jobs.runs.wait(sent.run_id, 0) == 2
