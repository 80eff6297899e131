"""Measures of workflows: what a step costs in a long run, what sleeping runs cost those at work, how fast runs fan out."""

from __future__ import annotations

import asyncio
import time

from pydantic import BaseModel

from cgk_jobs import Context, Event, Jobs, Retry
from cgk_jobs.benchmarks.machine import in_another_process, peak_mb

__all__ = ["fan_out", "fill_with_sleepers", "long_runs", "sleepers"]

A_YEAR = 366 * 86_400
AT_WORK = 5_000
"""Runs that are done beside those that sleep."""


class Long(Event, name="benchmark.long"):
    """A run of many steps."""

    steps: int


class Nap(Event, name="benchmark.nap"):
    """A run that sleeps for a year."""


class Work(Event, name="benchmark.work"):
    """A run that does nothing."""


class Spread(Event, name="benchmark.spread"):
    """A run that calls many."""

    children: int


class Child(BaseModel):
    """The payload of a called run."""

    number: int


async def long_runs(ledger: str, count: int) -> dict[str, float]:
    """Microseconds for a step in runs of 10, 100 and ``count`` steps: when it is done, and when it answers a later attempt."""
    jobs = Jobs(ledger)
    figures: dict[str, float] = {}

    @jobs.task(on=Long, retry=Retry(max_attempts=2, initial=0))
    async def long(event: Long, ctx: Context) -> None:
        begun = time.perf_counter()
        for _ in range(event.steps):
            await ctx.step("step", int)
        kind = "step" if ctx.attempt == 1 else "answer"
        figures[f"{kind}_{event.steps}_us"] = (time.perf_counter() - begun) / event.steps * 1e6
        if ctx.attempt == 1:
            raise ConnectionError

    await jobs.start()
    for steps in (10, 10, 100, count):  # the first warms up
        await jobs.trigger_and_wait(Long(tenant_id="tenant", steps=steps))
    await jobs.stop()
    return figures


def _sleeping(ledger: str) -> tuple[Jobs, asyncio.Event, list[int]]:
    jobs = Jobs(ledger)
    done = asyncio.Event()
    counts = [0, 0]

    @jobs.task(on=Nap, timeout=A_YEAR)
    async def nap(event: Nap, ctx: Context) -> None:
        counts[0] += 1
        await ctx.sleep(A_YEAR)

    @jobs.task(on=Work)
    async def work(event: Work) -> None:
        counts[1] += 1
        if counts[1] % AT_WORK == 0:
            done.set()

    return jobs, done, counts


async def fill_with_sleepers(ledger: str, count: int) -> None:
    """Let ``count`` runs fall asleep."""
    jobs, _, counts = _sleeping(ledger)
    await jobs.start()
    for first in range(0, count, 1_000):
        await jobs.send_many(
            [Nap(tenant_id=f"tenant-{number % 50}") for number in range(first, min(first + 1_000, count))]
        )
    running = jobs.running
    while counts[0] < count or (running is not None and not running.idle):  # noqa: ASYNC110  # until the last is asleep
        await asyncio.sleep(0.01)
    await jobs.stop()


async def sleepers(ledger: str, count: int) -> dict[str, float]:
    """Runs done a second in a ledger without and with ``count`` sleeping runs, and the most memory of the worker."""
    before = await _work(ledger)
    await in_another_process("cgk_jobs.benchmarks.workflows", "fill_with_sleepers", ledger, count)
    return {"per_second_without": before, "per_second": await _work(ledger), "peak_mb": peak_mb()}


async def _work(ledger: str) -> float:
    jobs, done, _ = _sleeping(ledger)
    await jobs.start()
    events = [Work(tenant_id=f"tenant-{number % 50}") for number in range(AT_WORK)]
    begun = time.perf_counter()
    await jobs.send_many(events)
    await done.wait()
    seconds = time.perf_counter() - begun
    await jobs.stop()
    jobs.close()
    return AT_WORK / seconds


async def fan_out(ledger: str, count: int) -> dict[str, float]:
    """Runs called, done and gathered a second by one ``ctx.map``, of a tenth of ``count`` and of ``count``."""
    jobs = Jobs(ledger)

    @jobs.task()
    async def child(payload: Child) -> int:
        return payload.number

    @jobs.task(on=Spread, timeout=3_600)
    async def spread(event: Spread, ctx: Context) -> int:
        return sum(await ctx.map(child, [Child(number=number) for number in range(event.children)]))

    await jobs.start()
    figures: dict[str, float] = {}
    for name, children in (("per_second_tenth", count // 10), ("per_second", count)):
        begun = time.perf_counter()
        total = await jobs.trigger_and_wait(Spread(tenant_id="tenant", children=children))
        if total != sum(range(children)):
            raise RuntimeError(f"{children} runs were called, and {total} came back")
        figures[name] = children / (time.perf_counter() - begun)
    await jobs.stop()
    return figures | {"peak_mb": peak_mb()}
