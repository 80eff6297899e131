"""Options of a step: retry, timeout, connection."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from typing import Any

import pytest

from cgk_jobs import Context, Event, Jobs, NonRetryable, Retry, RetryAfter, StepFailed
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="steps.placed"):
    order_id: str = "1"


PLACED = Placed(tenant_id="acme")
TWICE = Retry(max_attempts=2, initial=60, jitter=0)


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def outcome(harness: JobsHarness) -> Run:
    await harness.jobs.send(PLACED)
    await harness.drain(with_scheduled=True)
    (run,) = await harness.runs_of("acme")
    return run


async def test_a_step_is_tried_again_without_spending_an_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[str] = []

    def flaky() -> int:
        calls.append("flaky")
        if len(calls) < 3:
            raise ConnectionError("down")
        return 7

    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> Any:
        return await ctx.step("flaky", flaky, retry=Retry(max_attempts=3, initial=60, jitter=0)), ctx.attempt

    await jobs.send(PLACED)
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, len(calls)) == ("waiting", 1), "a long wait suspends the run"
    assert run.due_at is not None
    assert (run.due_at - jobs_harness.clock.now()).total_seconds() == 60
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.result, len(calls)) == ("completed", [7, 1], 3)


async def test_a_used_up_retry_is_the_same_in_every_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[int] = []
    caught: list[str] = []

    def broken() -> None:
        calls.append(1)
        raise ConnectionError("down")

    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1, jitter=0))
    async def handler(event: Placed, ctx: Context) -> int:
        try:
            await ctx.step("broken", broken, retry=TWICE)
        except StepFailed as error:
            caught.append(str(error))
        await ctx.step("fallback", calls.append, 10)
        if ctx.attempt < 3:
            raise ValueError("later")
        return ctx.attempt

    run = await outcome(jobs_harness)
    assert (run.state, run.result) == ("completed", 3)
    assert calls == [1, 1, 10]
    assert set(caught) == {"step 'broken' failed after 2 tries: ConnectionError: down"}
    assert len(caught) == 3


async def test_a_used_up_retry_that_nobody_catches_ends_the_run(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    def broken() -> None:
        raise ConnectionError("down")

    @jobs.task(on=Placed, retry=Retry(max_attempts=5, initial=1))
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("broken", broken, retry=TWICE)

    run = await outcome(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1)
    assert run.error == "StepFailed: step 'broken' failed after 2 tries: ConnectionError: down"
    assert [(step.name, step.failed) for step in run.steps] == [("broken", True)]


@pytest.mark.parametrize(
    ("error", "tries"),
    [(NonRetryable("no"), 1), (KeyError("x"), 1), (TimeoutError("slow"), 3), (RetryAfter(5), 3), (OSError("x"), 3)],
)
async def test_a_step_follows_its_policy(jobs: Jobs, jobs_harness: JobsHarness, error: Exception, tries: int) -> None:
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        raise error

    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("broken", broken, retry=Retry(max_attempts=3, initial=1, retry_on=(OSError,)))

    run = await outcome(jobs_harness)
    assert (run.state, len(calls)) == ("failed", tries)


async def test_tries_are_not_counted_anew_after_a_crash(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[int] = []

    def broken() -> None:
        calls.append(1)
        raise ConnectionError("down")

    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("broken", broken, retry=Retry(max_attempts=4, initial=60))

    await jobs.send(PLACED)
    jobs_harness.crash_at_step(handler, 2, moment="after")
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, len(calls)) == ("failed", 4)


async def test_a_step_has_a_time_of_its_own(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    async def hang() -> None:
        await asyncio.Event().wait()

    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed, ctx: Context) -> str:
        with pytest.raises(TimeoutError, match=r"longer than its 0\.01 s"):
            await ctx.step("hang", hang, timeout=0.01)
        return "went on"

    assert (await outcome(jobs_harness)).result == "went on"


async def test_a_plain_function_with_a_time_runs_in_a_thread(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    release = threading.Event()

    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed, ctx: Context) -> int:
        try:
            await ctx.step("hang", lambda: release.wait(30), timeout=0.01)
        except TimeoutError:
            return 1
        finally:
            release.set()
        return 0

    assert (await outcome(jobs_harness)).result == 1


async def test_a_time_beyond_the_tasks_is_refused_at_once(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, timeout=60)
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("long", lambda: 1, timeout=61)

    run = await outcome(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1)
    assert run.error == "InvalidTask: step 'long' may take 61 s, and its task only 60 s: raise the task's timeout="


async def test_a_time_beyond_what_is_left_waits_for_the_next_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, timeout=60, retry=Retry(initial=1))
    async def handler(event: Placed, ctx: Context) -> int:
        await ctx.step("slow", jobs_harness.clock.advance, 30)
        return int(await ctx.step("next", lambda: ctx.attempt, timeout=50))

    run = await outcome(jobs_harness)
    assert run.result == 2
    assert "has 30 s left" in str(run.attempts[0].error)


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"retry": 3}, "give a Retry"),
        ({"timeout": 0}, "more than 0 seconds"),
        ({"undo": "refund"}, "a function of the step's result"),
    ],
)
async def test_bad_options_are_refused(
    jobs: Jobs, jobs_harness: JobsHarness, options: dict[str, Any], message: str
) -> None:
    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("x", lambda: 1, **options)

    run = await outcome(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1)
    assert message in str(run.error)


async def test_a_plain_handler_has_the_same_options(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return 5

    @jobs.task(on=Placed)
    def handler(event: Placed, ctx: Context) -> int:
        return int(ctx.sync.step("flaky", flaky, retry=TWICE, timeout=30))

    assert (await outcome(jobs_harness)).result == 5


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_connection_to_the_ledger_commits_both_or_nothing(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    connection = sqlite3.connect(jobs_harness.folder / "jobs.db", isolation_level=None)
    calls: list[int] = []

    def save(amount: int) -> int:
        calls.append(1)
        connection.execute("INSERT INTO accounts VALUES (?)", (amount,))
        if len(calls) == 1:
            raise ConnectionError("after the write")
        return amount

    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1))
    async def handler(event: Placed, ctx: Context) -> int:
        saved = await ctx.step("save", save, 5, connection=connection)
        if ctx.attempt == 2:
            raise ValueError("later")
        return int(saved)

    await jobs.send(PLACED)
    connection.execute("CREATE TABLE accounts (cents INTEGER)")
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.result, run.attempt) == ("completed", 5, 3)
    assert connection.execute("SELECT cents FROM accounts").fetchall() == [(5,)]
    assert len(calls) == 2
    connection.close()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
async def test_a_step_that_lost_its_run_rolls_back(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    connection = sqlite3.connect(jobs_harness.folder / "jobs.db", isolation_level=None)

    def save() -> None:
        connection.execute("INSERT INTO accounts VALUES (5)")
        # As another worker would that takes the run over.
        connection.execute("UPDATE runs SET claim = claim + 1")

    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("save", save, connection=connection)

    await jobs.send(PLACED)
    connection.execute("CREATE TABLE accounts (cents INTEGER)")
    await jobs_harness.drain()
    assert connection.execute("SELECT cents FROM accounts").fetchall() == []
    connection.close()


@pytest.mark.parametrize("engine", ["sqlite"], indirect=True)
@pytest.mark.parametrize("kind", ["other file", "memory", "something else"])
async def test_another_database_is_refused_before_anything(jobs: Jobs, jobs_harness: JobsHarness, kind: str) -> None:
    calls: list[int] = []
    connection: Any = object()
    if kind != "something else":
        connection = sqlite3.connect(jobs_harness.folder / "other.db" if kind == "other file" else ":memory:")

    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("save", calls.append, 1, connection=connection)

    run = await outcome(jobs_harness)
    if kind != "something else":
        connection.close()
    assert run.error is not None
    assert run.error.startswith("Unsupported: ctx.step(connection=) is not supported by the SQLite ledger")
    assert "PostgreSQL" in run.error
    assert calls == []
