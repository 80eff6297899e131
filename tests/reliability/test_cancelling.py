"""Cancelling a run wherever it is (S44): what waits never starts, what runs stops, nothing cancelled is completed later."""

from __future__ import annotations

import asyncio
import random
import sqlite3
import threading
from collections.abc import Callable
from contextlib import closing

import pytest
from tests.servers.engines import engine, jobs_harness, ledger_address

from cgk_jobs import Context, Event, InvalidEvent, Jobs, Retry, RunCancelled, tenant_context
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness

__all__ = ["engine", "jobs_harness", "ledger_address"]

LIMIT = 20.0


class Work(Event, name="cancelling.work"):
    number: int = 0


class Other(Event, name="cancelling.other"):
    pass


WORK = Work(tenant_id="acme")


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def ended(jobs: Jobs, run_id: str) -> Run:
    """The run once it has ended."""
    async with asyncio.timeout(LIMIT):
        async for run in jobs.runs.watch(run_id):
            if run.finished:
                return run
    raise AssertionError("the run did not end")


async def test_what_waits_never_starts(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    started: list[int] = []

    @jobs.task(on=Work, retry=Retry(max_attempts=2, initial=60))
    async def work(event: Work, ctx: Context) -> None:
        started.append(event.number)
        if event.number == 1:
            raise ValueError("no")
        await ctx.sleep(60)

    retrying, asleep = (
        await jobs.send(Work(tenant_id="acme", number=1)),
        await jobs.send(Work(tenant_id="acme", number=2)),
    )
    await jobs_harness.drain()
    scheduled, queued = await jobs.send(Work(tenant_id="acme", number=3), delay=60), await jobs.send(WORK)
    with tenant_context("acme"):
        for sent in (retrying, asleep, scheduled, queued):
            assert await jobs.runs.cancel(sent.run_id) == 1
            assert (await jobs.runs.get(sent.run_id)).state == "cancelled"
    await jobs_harness.drain(with_scheduled=True)
    assert sorted(started) == [1, 2]


@pytest.mark.parametrize("where", ["in the handler", "in a step"])
async def test_an_async_handler_is_ended_where_it_waits(jobs: Jobs, jobs_harness: JobsHarness, where: str) -> None:
    begun = asyncio.Event()
    after: list[str] = []

    async def forever() -> None:
        begun.set()
        await asyncio.Event().wait()

    @jobs.task(on=Work, retry=Retry(max_attempts=5))
    async def work(event: Work, ctx: Context) -> None:
        await (ctx.step("wait", forever) if where == "in a step" else forever())
        after.append("went on")

    async with jobs_harness.working():
        sent = await jobs.send(WORK)
        await begun.wait()
        with tenant_context("acme"):
            assert await jobs.runs.cancel(sent.run_id) == 1
            run = await ended(jobs, sent.run_id)
    assert (run.state, run.steps, after) == ("cancelled", (), [])


async def test_another_process_asks_and_the_worker_hears_of_it(
    jobs: Jobs, jobs_harness: JobsHarness, ledger_address: str
) -> None:
    begun = asyncio.Event()

    @jobs.task(on=Work)
    async def work(event: Work) -> None:
        begun.set()
        await asyncio.Event().wait()

    other = Jobs(ledger_address, clock=jobs_harness.clock)
    try:
        async with jobs_harness.working():
            sent = await jobs.send(WORK)
            await begun.wait()
            with tenant_context("acme"):
                assert await other.runs.cancel(sent.run_id) == 1
                assert (await ended(jobs, sent.run_id)).state == "cancelled"
    finally:
        other.close()


Ending = Callable[[Context], str]


def stops(ctx: Context) -> str:
    ctx.check_cancelled()
    return "not reached"


def works_on(ctx: Context) -> str:
    ctx.sync.step("one more", str)
    return "not reached"


def raises(ctx: Context) -> str:
    raise ValueError("disturbed")


def finishes(ctx: Context) -> str:
    return "done"


@pytest.mark.parametrize(
    ("ending", "state", "error"),
    [
        (stops, "cancelled", "cancelled while it ran"),
        (works_on, "cancelled", "cancelled while it ran"),
        (raises, "cancelled", "ValueError: disturbed"),
        (finishes, "completed", None),
    ],
)
async def test_a_plain_handler_runs_until_its_next_checkpoint_and_is_called_running_till_then(
    jobs: Jobs, jobs_harness: JobsHarness, ending: Ending, state: str, error: str | None
) -> None:
    begun, go = threading.Event(), threading.Event()
    attempts: list[int] = []

    @jobs.task(on=Work, retry=Retry(max_attempts=5, initial=0))
    def work(event: Work, ctx: Context) -> str:
        attempts.append(ctx.attempt)
        begun.set()
        assert go.wait(LIMIT)
        return ending(ctx)

    async with jobs_harness.working():
        sent = await jobs.send(WORK)
        await asyncio.to_thread(begun.wait, LIMIT)
        with tenant_context("acme"):
            assert await jobs.runs.cancel(sent.run_id) == 1
            await asyncio.to_thread(threading.Event().wait, 0)  # the loop has turned
            assert (await jobs.runs.get(sent.run_id)).state == "running"
            go.set()
            run = await ended(jobs, sent.run_id)
    await jobs_harness.drain(with_scheduled=True)
    assert (run.state, run.error, attempts) == (state, error, [1])


async def test_a_thread_that_does_not_stop_is_given_up_when_its_time_is_over(
    jobs: Jobs, jobs_harness: JobsHarness
) -> None:
    begun, go = threading.Event(), threading.Event()

    @jobs.task(on=Work, timeout=0.2)
    def work(event: Work) -> None:
        begun.set()
        go.wait(LIMIT)

    try:
        async with jobs_harness.working():
            sent = await jobs.send(WORK)
            await asyncio.to_thread(begun.wait, LIMIT)
            with tenant_context("acme"):
                await jobs.runs.cancel(sent.run_id)
                assert (await ended(jobs, sent.run_id)).state == "cancelled"
    finally:
        go.set()


async def test_a_plain_handler_that_waits_for_a_thread_does_not_start() -> None:
    go = threading.Event()
    started: list[int] = []
    with JobsHarness(concurrency=1) as harness:
        jobs = harness.jobs

        @jobs.task(on=Other, timeout=0.05, retry=Retry(max_attempts=1))
        def hangs(event: Other) -> None:
            go.wait(LIMIT)

        @jobs.task(on=Work)
        def work(event: Work) -> None:
            started.append(event.number)

        try:
            async with harness.working():
                blocking, sent = await jobs.send(Other(tenant_id="acme")), await jobs.send(WORK)
                with tenant_context("acme"):
                    assert (await ended(jobs, blocking.run_id)).state == "failed"
                    async for run in jobs.runs.watch(sent.run_id):
                        if run.state == "running":
                            break
                    await jobs.runs.cancel(sent.run_id)
                    go.set()
                    assert (await ended(jobs, sent.run_id)).state == "cancelled"
        finally:
            go.set()
    assert started == []


async def test_a_run_asked_while_it_goes_to_sleep_does_not_wake(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    begun, go = threading.Event(), threading.Event()
    attempts: list[int] = []

    @jobs.task(on=Work)
    async def work(event: Work, ctx: Context) -> None:
        attempts.append(1)
        begun.set()
        try:
            await asyncio.to_thread(go.wait, LIMIT)
        except asyncio.CancelledError:
            await ctx.sleep(60)

    async with jobs_harness.working():
        sent = await jobs.send(WORK)
        await asyncio.to_thread(begun.wait, LIMIT)
        with tenant_context("acme"):
            await jobs.runs.cancel(sent.run_id)
            run = await ended(jobs, sent.run_id)
        go.set()
    await jobs_harness.drain(with_scheduled=True)
    assert (run.state, attempts) == ("cancelled", [1])


async def test_a_drain_does_not_put_back_what_was_cancelled(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    begun = asyncio.Event()

    @jobs.task(on=Work)
    async def work(event: Work) -> None:
        begun.set()
        while True:
            try:
                await asyncio.Event().wait()
            except asyncio.CancelledError:
                raise ValueError("disturbed") from None

    async with jobs_harness.working():
        sent = await jobs.send(WORK)
        await begun.wait()
        with tenant_context("acme"):
            await jobs.runs.cancel(sent.run_id)
    with tenant_context("acme"):
        assert (await jobs.runs.get(sent.run_id)).state == "cancelled"


async def test_cancelled_at_any_moment_no_run_is_ever_completed_later(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    chance = random.Random(44)
    returned: set[str] = set()
    broken_off: set[str] = set()

    async def part() -> None:
        for _ in range(chance.randrange(4)):
            await asyncio.sleep(0)

    @jobs.task(on=Work, retry=Retry(max_attempts=3, initial=0))
    async def work(event: Work, ctx: Context) -> None:
        await part()
        await ctx.step("one", part)
        await ctx.sleep(chance.choice((0, 0, 5)))
        await part()
        if ctx.attempt == 1 and event.number % 3 == 0:
            raise ValueError("no")
        returned.add(ctx.run_id)

    async with jobs_harness.working():
        sent = await jobs.send_many([Work(tenant_id="acme", number=number) for number in range(300)])
        with tenant_context("acme"):
            for one in chance.sample(sent, 200):
                await part()
                await jobs.runs.cancel(one.run_id)
                if (await jobs.runs.get(one.run_id)).state == "cancelled":
                    broken_off.add(one.run_id)
                    assert one.run_id not in returned
    await jobs_harness.drain(with_scheduled=True)
    assert not returned & broken_off, "a cancelled run went on"
    states = {run.id: run.state for run in await jobs_harness.runs_of("acme")}
    assert {run for run, state in states.items() if state == "completed"} == returned
    assert set(states.values()) == {"completed", "cancelled"}
    assert all(states[run] == "cancelled" for run in broken_off)


async def test_everything_of_a_filter_in_one_tenant(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Work)
    async def work(event: Work) -> None: ...

    @jobs.task(on=Other, queue="slow")
    async def other(event: Other) -> None: ...

    await jobs.send_many([Work(tenant_id="acme") for _ in range(1_200)])
    await jobs.send_many([Other(tenant_id="acme"), Work(tenant_id="rival")])
    await jobs.send(Work(tenant_id="acme"), delay=60)
    with tenant_context("acme"):
        with pytest.raises(InvalidEvent, match="say which"):
            await jobs.runs.cancel()
        with pytest.raises(InvalidEvent, match="say which"):
            await jobs.runs.cancel(tenant_id="acme")
        with pytest.raises(InvalidEvent, match="say which"):
            await jobs.runs.cancel("x", task="work")
        assert await jobs.runs.cancel(task="work", state="scheduled") == 1
        assert await jobs.runs.cancel(task="work", since=jobs_harness.clock.now()) == 1_200
        assert await jobs.runs.cancel(task="work") == 0
        assert await jobs.runs.cancel(queue="slow") == 1
    with tenant_context("rival"):
        assert await jobs.runs.count() == {"queued": 1}


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)  # PostgreSQL's families: tests/integration/postgres
@pytest.mark.parametrize("tree", [True, False])
async def test_a_tree_is_cancelled_whole(jobs: Jobs, jobs_harness: JobsHarness, tree: bool) -> None:
    @jobs.task(on=Work)
    async def work(event: Work) -> None: ...

    sent = await jobs.send_many([Work(tenant_id="acme") for _ in range(7)])
    seqs = [one._run_seqs[0] for one in sent]
    with closing(sqlite3.connect(jobs_harness.folder / "jobs.db", isolation_level=None)) as ledger:
        # 0 has called 1 and 2, 2 has called 3, 3 has called 4, which has ended and had called 5; 6 is by itself.
        for parent, child in ((0, 1), (0, 2), (2, 3), (3, 4), (4, 5)):
            ledger.execute("UPDATE runs SET parent_seq = ? WHERE seq = ?", (seqs[parent], seqs[child]))
    with tenant_context("acme"):
        await jobs.runs.cancel(sent[4].run_id, tree=False)
        assert await jobs.runs.cancel(sent[0].run_id, tree=tree) == (5 if tree else 1)
        states = [(await jobs.runs.get(one.run_id)).state for one in sent]
    gone, left = "cancelled", "queued"
    assert states == [gone, *([gone] * 5 if tree else [left, left, left, gone, left]), left]


async def test_waiting_for_a_cancelled_run_says_so(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Work)
    async def work(event: Work) -> None: ...

    sent = await jobs.send(WORK)
    with tenant_context("acme"):
        await jobs.runs.cancel(sent.run_id)
        with pytest.raises(RunCancelled):
            await jobs.runs.wait(sent.run_id)
