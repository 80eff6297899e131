"""Sagas: what was done is undone, last first, when the run fails for good."""

from __future__ import annotations

import asyncio
from typing import Any

import pytest

from cgk_jobs import Context, Event, Jobs, NonRetryable, Retry, tenant_context
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="undoing.placed"):
    order_id: str = "1"


PLACED = Placed(tenant_id="acme")
ONCE = Retry(max_attempts=1)


class Shop:
    """What was done and undone, in order."""

    def __init__(self, jobs: Jobs, **options: Any) -> None:
        self.done: list[Any] = []
        self.fails = True
        self.broken: set[str] = set()
        options.setdefault("retry", ONCE)

        @jobs.task(on=Placed, **options)
        async def order(event: Placed, ctx: Context) -> str:
            await ctx.step("reserve", self.do, "reserve", undo=(self.undo, "release", 3))
            charge = await ctx.step("charge", self.do, "charge", undo=self.refund)
            await ctx.step("note", self.do, "note")
            if self.fails:
                raise ValueError("no stock")
            return str(charge)

        self.order = order

    def do(self, what: str) -> str:
        self.done.append(what)
        return f"{what}-1"

    def undo(self, what: str, count: int) -> None:
        self.done.append((what, count))
        if what in self.broken:
            raise ConnectionError("down")

    async def refund(self, charge: str) -> None:
        await asyncio.sleep(0)
        self.undo("refund " + charge, 1)


UNDONE = [("refund charge-1", 1), ("release", 3)]
DONE = ["reserve", "charge", "note"]


async def test_steps_are_undone_last_first(jobs_harness: JobsHarness) -> None:
    shop = Shop(jobs_harness.jobs)
    await jobs_harness.jobs.send(PLACED)
    drained = await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.error) == ("failed", "ValueError: no stock")
    assert shop.done == [*DONE, *UNDONE]
    assert [step.name for step in run.steps] == ["reserve", "charge", "note", "undo:charge", "undo:reserve"]
    assert [(one.outcome, one.error) for one in run.attempts] == [("failed", "ValueError: no stock")] * 2
    assert drained.failed == 1


async def test_nothing_is_undone_while_another_attempt_follows(jobs_harness: JobsHarness) -> None:
    shop = Shop(jobs_harness.jobs, retry=Retry(max_attempts=2, initial=60, jitter=0))
    await jobs_harness.jobs.send(PLACED)
    await jobs_harness.drain()
    assert shop.done == DONE
    shop.fails = False
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.result, shop.done) == ("completed", "charge-1", DONE)


async def test_an_undo_that_fails_is_tried_again_and_reported(jobs_harness: JobsHarness) -> None:
    shop = Shop(jobs_harness.jobs, retry=Retry(max_attempts=4, initial=60, jitter=0))
    shop.broken.add("refund charge-1")
    await jobs_harness.jobs.send(PLACED)
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert shop.done == [*DONE, *[UNDONE[0]] * 4, UNDONE[1]], "the others are undone all the same"
    assert run.state == "failed"
    assert run.error == (
        "ValueError: no stock; undo of 'charge': StepFailed: step 'undo:charge' failed after 4 tries: "
        "ConnectionError: down"
    )


@pytest.mark.parametrize("moment", ["before", "after"])
@pytest.mark.parametrize("step", [1, 2, 3, 4, 5, 6, 7])
async def test_a_crash_at_any_write_undoes_all_the_same(jobs_harness: JobsHarness, step: int, moment: str) -> None:
    shop = Shop(jobs_harness.jobs)
    await jobs_harness.jobs.send(PLACED)
    jobs_harness.crash_at_step(shop.order, step, moment=moment)  # type: ignore[arg-type]
    drained = await jobs_harness.drain(with_scheduled=True)
    assert drained.crashed == 1
    (run,) = await jobs_harness.runs_of("acme")
    assert run.state == "failed"
    assert "worker" in str(run.error) if step <= 3 else "no stock" in str(run.error)
    finished = {one.name for one in run.steps if not one.failed}
    assert {"undo:" + name for name in ("reserve", "charge") if name in finished} <= finished
    undone = [one for one in shop.done if isinstance(one, tuple)]
    assert sorted(set(undone), key=UNDONE.index) == (
        UNDONE if {"reserve", "charge"} <= finished else UNDONE[1:] if "reserve" in finished else []
    )


async def test_a_retry_by_hand_begins_anew_after_an_undo(jobs_harness: JobsHarness) -> None:
    shop = Shop(jobs_harness.jobs)
    await jobs_harness.jobs.send(PLACED)
    await jobs_harness.drain()
    shop.done.clear()
    shop.fails = False
    with tenant_context("acme"):
        (run,) = await jobs_harness.jobs.runs.list()
        with pytest.raises(ValueError, match="was undone"):
            await jobs_harness.jobs.runs.replay(run.id, from_step="note")
        await jobs_harness.jobs.runs.retry(run.id)
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, shop.done) == ("completed", DONE)


async def test_a_cancelled_run_is_not_undone(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    undone: list[Any] = []

    @jobs.task(on=Placed)
    async def order(event: Placed, ctx: Context) -> None:
        await ctx.step("charge", lambda: 1, undo=undone.append)
        await ctx.sleep(60)

    sent = await jobs.send(PLACED)
    await jobs_harness.drain()
    with tenant_context("acme"):
        await jobs.runs.cancel(sent.run_id)
    await jobs_harness.drain(with_scheduled=True)
    assert undone == []


async def test_an_undo_that_is_not_come_to_again_is_reported(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    passes: list[int] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def order(event: Placed, ctx: Context) -> None:
        passes.append(1)
        if len(passes) == 1:
            await ctx.step("charge", lambda: 1, undo=passes.append)
        raise NonRetryable("no")

    await jobs.send(PLACED)
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert run.error == "NonRetryable: no; undo of 'charge': the handler did not come to this step again"


async def test_a_plain_handler_undoes_too(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    undone: list[Any] = []

    @jobs.task(on=Placed, retry=ONCE)
    def order(event: Placed, ctx: Context) -> None:
        ctx.sync.step("charge", lambda: 7, undo=undone.append)
        ctx.sync.sleep(60)
        raise ValueError("no")

    await jobs.send(PLACED)
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.error, undone) == ("ValueError: no", [7])


async def test_concurrent_steps_are_undone_too(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    undone: list[Any] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def order(event: Placed, ctx: Context) -> None:
        async def branch(name: str) -> None:
            await ctx.step(name, lambda: name, undo=undone.append)
            await ctx.step(name, lambda: name + "2", undo=undone.append)

        await asyncio.gather(branch("a"), branch("b"))
        raise ValueError("no")

    await jobs.send(PLACED)
    await jobs_harness.drain()
    assert sorted(undone) == ["a", "a2", "b", "b2"]
    assert undone.index("a2") < undone.index("a")


async def test_the_pass_that_undoes_begins_nothing_new(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    done: list[Any] = []

    @jobs.task(on=Placed, retry=ONCE)
    async def order(event: Placed, ctx: Context) -> None:
        await ctx.step("charge", done.append, "charge", undo=(done.append, "refund"))
        if "failed" not in done:
            done.append("failed")
            raise ValueError("only once")
        await ctx.step("ship", done.append, "ship")

    await jobs.send(PLACED)
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.error) == ("failed", "ValueError: only once")
    assert done == ["charge", "failed", "refund"]


async def test_a_run_whose_code_was_changed_is_not_undone(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    undone: list[Any] = []

    @jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=1))
    async def order(event: Placed, ctx: Context) -> None:
        for name in ("charge", "ship") if ctx.attempt == 1 else ("charge", "send"):
            await ctx.step(name, lambda: 1, undo=undone.append)
        raise ConnectionError

    await jobs.send(PLACED)
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert str(run.error).startswith("JournalMismatch")
    assert (undone, run.undoing) == ([], None)
