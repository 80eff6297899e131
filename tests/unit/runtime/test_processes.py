"""``isolation="process"``: results, errors, and that a process is killed without taking anything else with it."""

from __future__ import annotations

import asyncio
import os
from pathlib import Path

import pytest
from tests.unit.runtime.handlers import UNSTORABLE, Crunch, crunch, group, hasty

from cgk_jobs import InvalidTask, Jobs, tenant_context
from cgk_jobs.runs import Run
from cgk_jobs.testing import Drained, JobsHarness


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    for task in group:
        task.sender = None  # each test has an application of its own
    jobs_harness.jobs.include(group)
    return jobs_harness.jobs


async def drained(harness: JobsHarness, *whats: str) -> tuple[Drained, list[Run]]:
    for what in whats:
        await crunch.send(Crunch(tenant_id="acme", what=what))
    answer = await harness.drain()
    return answer, await harness.runs_of("acme")


async def test_a_result_log_and_progress_come_back(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    _, (run,) = await drained(jobs_harness, "fine")
    assert run.state == "completed"
    assert run.result["tenant"] == "acme"
    assert run.result["pid"] != os.getpid()
    assert run.progress == {"fraction": 0.5, "message": "half"}
    assert run.metadata == {"rows": 5}
    assert [(line.level, line.message) for line in run.log] == [("INFO", "crunching fine")]


async def test_a_result_that_cannot_be_stored_ends_the_run(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    _, runs = await drained(jobs_harness, *UNSTORABLE)
    assert [(run.state, run.attempt) for run in runs] == [("failed", 1)] * 3
    assert all("the handler's result" in (run.error or "") for run in runs)


async def test_errors_decide_as_in_this_process(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    start = jobs_harness.clock.now()
    _, runs = await drained(jobs_harness, "raise", "give up", "final", "later", "step")
    raised, given_up, final, later, step = runs
    assert (raised.state, raised.error, raised.attempt) == ("retrying", "RemoteError: ValueError: no such number", 2)
    assert (given_up.state, given_up.attempt) == ("failed", 1)
    assert (final.state, final.error) == ("failed", "NonRetryable: never")
    assert later.due_at is not None
    assert (later.state, (later.due_at - start).total_seconds()) == ("retrying", 77.0)
    assert step.error is not None
    assert "Unsupported" in step.error


async def test_a_handler_that_exits_costs_only_its_own_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    answer, (exits, fine) = await drained(jobs_harness, "exit", "fine")
    assert (answer.completed, answer.retrying) == (1, 1)
    assert (exits.state, fine.state) == ("retrying", "completed")
    jobs_harness.clock.advance(10)
    assert (await jobs_harness.drain()).completed == 1


async def test_cancelling_kills_the_process(jobs: Jobs, jobs_harness: JobsHarness, tmp_path: Path) -> None:
    place = tmp_path / "pid"
    async with jobs_harness.working():
        sent = await crunch.send(Crunch(tenant_id="acme", what="hang", place=str(place)))
        async with asyncio.timeout(20):
            while not place.exists() or not place.read_text():  # noqa: ASYNC110  # another process writes it
                await asyncio.sleep(0.01)
        with tenant_context("acme"):
            assert await jobs.runs.cancel(sent.run_id) == 1
        await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert run.state == "cancelled"
    with pytest.raises(ProcessLookupError):
        os.kill(int(place.read_text()), 0)


async def test_a_timeout_kills_the_process(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    await hasty.send(Crunch(tenant_id="acme", what="x"))
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.state, run.error) == ("failed", "TimeoutError: the attempt took longer than its 0.2 s")


async def test_a_handler_that_cannot_be_imported_is_refused_at_start(jobs_harness: JobsHarness) -> None:
    @jobs_harness.jobs.task(on=Crunch, isolation="process")
    def inner(event: Crunch) -> None: ...

    with pytest.raises(InvalidTask, match="top level of a module"):
        await jobs_harness.drain()
