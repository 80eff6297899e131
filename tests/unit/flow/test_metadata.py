"""What handlers keep about their runs, and following it."""

from __future__ import annotations

import asyncio

import pytest

from cgk_jobs import Context, Event, InvalidEvent, InvalidResult, Jobs, PayloadTooLarge, Retry, tenant_context
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness


class Import(Event, name="flow.import"):
    path: str = "a"


SENT = Import(tenant_id="acme")


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def test_metadata_is_merged_and_outlasts_the_attempt(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Import, retry=Retry(max_attempts=2, initial=0))
    async def load(event: Import, ctx: Context) -> None:
        await ctx.metadata(**{f"attempt_{ctx.attempt}": True})
        await ctx.metadata(phase="read", rows={"good": 1})
        if ctx.attempt == 1:
            raise ValueError("no")
        await ctx.metadata(phase=None, rows={"bad": 2})

    await jobs.send(SENT)
    await jobs_harness.drain(with_scheduled=True)
    (run,) = await jobs_harness.runs_of("acme")
    assert run.metadata == {"attempt_1": True, "attempt_2": True, "rows": {"bad": 2}}


async def test_metadata_is_small_and_json(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    caught: list[type[Exception]] = []

    @jobs.task(on=Import)
    def load(event: Import, ctx: Context) -> None:
        ctx.sync.metadata(kept="yes")
        for value in ("x" * 16_384, object()):
            try:
                ctx.sync.metadata(value=value)
            except (PayloadTooLarge, InvalidResult) as error:
                caught.append(type(error))

    await jobs.send(SENT)
    await jobs_harness.drain(raise_failures=True)
    assert caught == [PayloadTooLarge, InvalidResult]
    (run,) = await jobs_harness.runs_of("acme")
    assert run.metadata == {"kept": "yes"}


async def test_watching_a_run_tells_progress_and_metadata(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    go = {name: asyncio.Event() for name in ("one", "two", "end")}

    @jobs.task(on=Import)
    async def load(event: Import, ctx: Context) -> None:
        await ctx.progress(0.5, "half")
        await go["one"].wait()
        await ctx.metadata(rows=5)
        await go["two"].wait()

    seen: list[Run] = []
    async with jobs_harness.working():
        sent = await jobs.send(SENT)
        with tenant_context("acme"):
            async for run in jobs.runs.watch(sent.run_id):
                seen.append(run)
                if run.progress is not None:
                    go["one"].set()
                if run.metadata:
                    go["two"].set()
    assert seen[-1].state == "completed"
    assert any(run.progress == {"fraction": 0.5, "message": "half"} and not run.metadata for run in seen)
    assert any(run.metadata == {"rows": 5} and not run.finished for run in seen)


async def test_watching_a_list_tells_what_is_new_changed_and_left(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    go = asyncio.Event()

    @jobs.task(on=Import)
    async def load(event: Import, ctx: Context) -> None:
        await ctx.metadata(path=event.path)
        await go.wait()

    told: list[tuple[str, bool]] = []
    async with jobs_harness.working():
        sent = await jobs.send(SENT)
        await jobs.send(Import(tenant_id="rival"))
        with tenant_context("acme"):
            async for run in jobs.runs.watch(task="load", state="running"):
                told.append((run.state, bool(run.metadata)))
                assert run.id == sent.run_id, "another tenant's run"
                if run.metadata:
                    go.set()
                if run.finished:
                    break
    assert told[-1] == ("completed", True)
    assert {state for state, _ in told[:-1]} == {"running"}


async def test_one_run_or_a_filter(jobs: Jobs) -> None:
    with tenant_context("acme"):
        with pytest.raises(InvalidEvent, match="leave the filters out"):
            async for _ in jobs.runs.watch("x", task="load"):
                pass
        with pytest.raises(TypeError, match="colour"):
            await jobs.runs.cancel(colour="red")  # type: ignore[call-arg]
