"""A run whose code was changed under it is noticed; what only varies is not."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable

import pytest

from cgk_jobs import Context, Event, Retry, tenant_context
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="changed.placed"):
    order_id: str = "1"


Passes = list[Callable[[Context], Awaitable[None]]]


async def after(harness: JobsHarness, *passes: Callable[[Context], Awaitable[None]]) -> Run:
    """Each attempt runs the next of ``passes`` and fails, but the last."""

    @harness.jobs.task(on=Placed, retry=Retry(max_attempts=len(passes) + 2, initial=1, jitter=0))
    async def handler(event: Placed, ctx: Context) -> str:
        await passes[ctx.attempt - 1](ctx)
        if ctx.attempt < len(passes):
            raise ConnectionError("between")
        return "done"

    await harness.jobs.send(Placed(tenant_id="acme"))
    await harness.drain(with_scheduled=True)
    (run,) = await harness.runs_of("acme")
    return run


def steps(*names: str) -> Callable[[Context], Awaitable[None]]:
    async def run(ctx: Context) -> None:
        for name in names:
            await ctx.step(name, lambda: 1)

    return run


@pytest.mark.parametrize(
    ("before", "now", "asked", "expected"),
    [
        ("abc", "xbc", "x", "a"),
        ("abc", "axc", "x", "b"),
        ("abc", "acb", "c", "b"),
        ("abc", "bc", "b", "a"),
        ("abc", "xabc", "x", "a"),
        ("aab", "abb", "b", "a#2"),
    ],
)
async def test_other_steps_or_another_order(
    jobs_harness: JobsHarness, before: str, now: str, asked: str, expected: str
) -> None:
    run = await after(jobs_harness, steps(*before), steps(*now))
    assert (run.state, run.attempt) == ("failed", 2)
    assert str(run.error).startswith(
        f"JournalMismatch: the handler asks for {asked!r} where the journal of its run has {expected!r}"
    )
    assert len(run.steps) == len(before), "its history is kept and nothing was added"


@pytest.mark.parametrize(("before", "now"), [("abc", "abcd"), ("", "ab"), ("abc", "ab"), ("abc", "")])
async def test_more_steps_at_the_end_or_an_early_return_are_no_change(
    jobs_harness: JobsHarness, before: str, now: str
) -> None:
    run = await after(jobs_harness, steps(*before), steps(*now))
    assert run.state == "completed"
    warned = [line.message for line in run.log]
    assert warned == (["the handler ended without steps its journal has: c"] if (before, now) == ("abc", "ab") else [])


async def test_swallowing_it_does_not_help(jobs_harness: JobsHarness) -> None:
    async def swallows(ctx: Context) -> None:
        for name in "xab":
            try:
                await ctx.step(name, lambda: 1)
            except Exception:
                ctx.log.info("swallowed %s", name)

    run = await after(jobs_harness, steps("a", "b"), swallows)
    assert (run.state, run.error is not None) == ("failed", True)
    assert "JournalMismatch" in str(run.error)


async def test_sleeps_and_waits_are_part_of_the_order(jobs_harness: JobsHarness) -> None:
    async def sleeps(ctx: Context) -> None:
        await ctx.sleep(0)
        await ctx.step("a", lambda: 1)

    run = await after(jobs_harness, sleeps, steps("a"))
    assert "asks for 'a' where the journal of its run has 'sleep'" in str(run.error)


async def test_a_failed_step_may_take_another_course(jobs_harness: JobsHarness) -> None:
    working: list[int] = []

    def primary() -> int:
        if not working:
            raise ConnectionError
        return 1

    async def course(ctx: Context) -> None:
        try:
            await ctx.step("primary", primary)
        except ConnectionError:
            await ctx.step("fallback", lambda: 2)
        await ctx.step("end", lambda: 3)
        working.append(1)

    run = await after(jobs_harness, course, course, course)
    assert run.state == "completed", run.error
    assert [step.name for step in run.steps] == ["fallback", "end", "primary"]


async def test_a_loop_that_goes_on_after_failures(jobs_harness: JobsHarness) -> None:
    tried: list[int] = []

    def mail(number: int) -> None:
        tried.append(number)
        if number % 2 and tried.count(number) == 1:
            raise ConnectionError

    async def course(ctx: Context) -> None:
        for number in range(6):
            try:
                await ctx.step("mail", mail, number)
            except ConnectionError:
                ctx.log.info("again later")

    run = await after(jobs_harness, course, course, course)
    assert run.state == "completed", run.error
    assert sorted(tried) == [0, 1, 1, 2, 3, 3, 4, 5, 5]


async def test_strands_may_interleave(jobs_harness: JobsHarness) -> None:
    def course(*turns: int) -> Callable[[Context], Awaitable[None]]:
        async def run(ctx: Context) -> None:
            async def branch(name: str, wait: int) -> None:
                for number in range(3):
                    for _ in range(wait):
                        await asyncio.sleep(0)
                    await ctx.step(f"{name}-{number}", lambda: 1)

            await ctx.step("begin", lambda: 1)
            await asyncio.gather(*(branch(name, wait) for name, wait in zip("abc", turns, strict=True)))
            await ctx.step("end", lambda: 1)

        return run

    run = await after(jobs_harness, course(0, 5, 9), course(9, 5, 0), course(1, 1, 1))
    assert (run.state, len(run.steps)) == ("completed", 11), run.error


async def test_strands_that_were_broken_off(jobs_harness: JobsHarness) -> None:
    def course(fails: str) -> Callable[[Context], Awaitable[None]]:
        async def run(ctx: Context) -> None:
            async def branch(name: str) -> None:
                await ctx.step(f"{name}-1", lambda: 1)
                if name == fails:
                    raise ConnectionError
                await ctx.step(f"{name}-2", lambda: 1)

            await asyncio.gather(branch("a"), branch("b"))

        return run

    run = await after(jobs_harness, course("a"), course("b"), course(""))
    assert run.state == "completed", run.error


async def test_a_step_within_a_step_has_no_place_of_its_own(jobs_harness: JobsHarness) -> None:
    async def outer(ctx: Context) -> None:
        async def inner() -> int:
            return int(await ctx.step("inner", lambda: 1))

        await ctx.step("outer", inner)
        await ctx.step("end", lambda: 1)

    run = await after(jobs_harness, outer, outer)
    assert run.state == "completed", run.error


async def test_plain_handlers_are_held_to_their_order_too(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs

    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1))
    def handler(event: Placed, ctx: Context) -> None:
        for name in "ab" if ctx.attempt == 1 else "ba":
            ctx.sync.step(name, lambda: 1)
        raise ConnectionError

    await jobs.send(Placed(tenant_id="acme"))
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert run.attempt == 2
    assert "JournalMismatch" in str(run.error)


async def test_replay_begins_anew_and_says_whose_replay_it_is(jobs_harness: JobsHarness) -> None:
    run = await after(jobs_harness, steps("a"), steps("x"))
    jobs_harness.jobs.tasks["handler"].handler = fine
    with tenant_context("acme"):
        again = await jobs_harness.jobs.runs.replay(run.id)
        bulk = await jobs_harness.jobs.runs.replay_all(state="failed")
        assert (again.replay_of, len(bulk)) == (run.id, 1)
        assert (await jobs_harness.jobs.runs.get(bulk[0])).replay_of == run.id
        with pytest.raises(ValueError, match="name a task"):
            await jobs_harness.jobs.runs.replay_all()
    drained = await jobs_harness.drain()
    assert drained.completed == 2


async def fine(event: Placed, ctx: Context) -> None:
    await ctx.step("x", lambda: 1)
