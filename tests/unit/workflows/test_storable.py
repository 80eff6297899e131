"""What databases can't store (NUL characters, halves of surrogate pairs, things without JSON form): refused, or written out."""

from __future__ import annotations

import logging
from typing import Any

import pytest
from pydantic import BaseModel

from cgk_jobs import Context, Event, InvalidEvent, Jobs, Limit, PayloadTooLarge, Retry, Send, tenant_context
from cgk_jobs.errors import InvalidResult
from cgk_jobs.runs import Run
from cgk_jobs.testing import JobsHarness

PATIENT = Retry(max_attempts=5, initial=10)
UNSTORABLE = [
    (object(), "object can't be stored as JSON"),
    ("\ud800", "can't be stored as JSON"),
    ({"page": ["a\x00b"]}, "has a NUL character"),
    ("x" * 300_000, "the limit is 262,144"),
]


class Placed(Event, name="storable.placed"):
    order_id: str = "1"
    notes: tuple[Any, ...] = ()


class Numbers(BaseModel):
    values: list[int]
    names: list[str] = []


PLACED = Placed(tenant_id="acme")


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def ended(harness: JobsHarness) -> Run:
    await harness.jobs.send(PLACED)
    await harness.drain()
    (run,) = await harness.runs_of("acme")
    return run


@pytest.mark.parametrize(("result", "reason"), UNSTORABLE)
async def test_a_result_that_cannot_be_stored_fails_the_run_at_once(
    jobs: Jobs, jobs_harness: JobsHarness, result: Any, reason: str
) -> None:
    @jobs.task(on=Placed, retry=PATIENT)
    async def hapless(event: Placed) -> Any:
        return result

    run = await ended(jobs_harness)
    assert (run.state, run.attempt) == ("failed", 1)
    assert "the handler's result" in (run.error or "")
    assert reason in (run.error or "")


@pytest.mark.parametrize(("result", "reason"), UNSTORABLE)
@pytest.mark.parametrize("options", [{}, {"retry": PATIENT}])
async def test_a_steps_result_that_cannot_be_stored_fails_the_run_at_once(
    jobs: Jobs, jobs_harness: JobsHarness, result: Any, reason: str, options: dict[str, Any]
) -> None:
    calls: list[int] = []

    def fetch() -> Any:
        calls.append(1)
        return result

    @jobs.task(on=Placed, retry=PATIENT)
    async def hapless(event: Placed, ctx: Context) -> None:
        await ctx.step("fetch", fetch, **options)

    run = await ended(jobs_harness)
    assert (run.state, run.attempt, calls) == ("failed", 1, [1])
    assert "step 'fetch'" in (run.error or "")
    assert reason in (run.error or "")


async def test_a_step_may_be_caught_and_given_something_else(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed)
    async def careful(event: Placed, ctx: Context) -> str:
        try:
            await ctx.step("fetch", lambda: "a\x00b")
        except InvalidResult:
            return str(await ctx.step("again", lambda: "a b"))
        return ""

    assert (await ended(jobs_harness)).result == "a b"


class Grumpy(Exception):
    def __str__(self) -> str:
        raise RuntimeError("not even a message")


@pytest.mark.parametrize(
    ("error", "kept"),
    [
        (ValueError("a\x00b"), r"ValueError: a\x00b"),
        (ValueError("a\ud800b"), r"ValueError: a\ud800b"),
        (Grumpy(), "Grumpy: its message can't be read"),
    ],
)
async def test_an_error_is_kept_whatever_its_message(
    jobs: Jobs, jobs_harness: JobsHarness, error: Exception, kept: str
) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def broken(event: Placed, ctx: Context) -> None:
        try:
            await ctx.step("fail", fail, retry=Retry(max_attempts=1))
        except Exception as failure:
            ctx.log.info("%s", str(failure))
        raise error

    def fail() -> None:
        raise error

    run = await ended(jobs_harness)
    assert (run.state, run.error) == ("failed", kept)
    assert kept in run.log[0].message
    assert [one.error for one in run.attempts] == [kept]


async def test_lines_progress_and_metadata(
    jobs: Jobs, jobs_harness: JobsHarness, caplog: pytest.LogCaptureFixture
) -> None:
    caplog.set_level(
        logging.CRITICAL, "cgk_jobs.run"
    )  # what handlers of the application do with a line is not asked here
    refused: list[str] = []

    @jobs.task(on=Placed)
    async def talkative(event: Placed, ctx: Context) -> None:
        ctx.log.info("nul \x00 and half \udc00")
        ctx.log.info("%s", Grumpy())
        await ctx.progress(0.5, "half\x00way\ud800")
        for value in ("a\x00b", "\ud800"):
            try:
                await ctx.metadata(note=value)
            except ValueError as error:
                refused.append(str(error))
        await ctx.metadata(note="fine")
        for name in ("a\x00b", "\ud800"):
            with pytest.raises(InvalidEvent, match="step name"):
                await ctx.step(name, len, ())

    run = await ended(jobs_harness)
    assert run.state == "completed", run.error
    assert [line.message for line in run.log] == [r"nul \x00 and half \udc00", "%s: its values can't be read"]
    assert (run.progress, run.metadata) == ({"fraction": 0.5, "message": r"half\x00way\ud800"}, {"note": "fine"})
    assert len(refused) == 2
    assert all("metadata" in text for text in refused)


async def test_what_is_sent_is_refused_early(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed)
    async def sync(event: Placed) -> None: ...

    @jobs.task()
    async def count(numbers: Numbers) -> None: ...

    for event, field in (
        (Placed(tenant_id="acme", order_id="a\x00b"), "order_id"),
        (Placed(tenant_id="acme", notes=({"deep": ["\x00"]},)), "notes"),
    ):
        with pytest.raises(InvalidEvent, match=f"{field} has a NUL character"):
            await jobs.send(event)
    with pytest.raises(InvalidEvent, match="can't be stored as JSON"):
        await jobs.send(Placed(tenant_id="acme", notes=("\ud800",)))
    with pytest.raises(InvalidEvent, match="order_id has a NUL character"):
        await jobs.send("storable.placed", {"tenant_id": "acme", "order_id": "\x00"})
    for options in ({"key": "a\x00"}, {"tags": ["a\x00"]}, {"key": "\ud800"}, {"tags": ["\ud800"]}):
        with pytest.raises(InvalidEvent, match="NUL"):
            await jobs.send(PLACED, **options)
    with tenant_context("acme"), pytest.raises(InvalidEvent, match="names has a NUL character"):
        await count.send(Numbers(values=[], names=["\x00"]))
    sent = await jobs.send_many([PLACED, Placed(tenant_id="acme", order_id="\x00"), Send(PLACED, key="1")])
    assert [one.status for one in sent] == ["accepted", "refused", "accepted"]
    assert len(await jobs_harness.runs_of("acme")) == 2


async def test_a_backslash_before_the_same_letters_is_no_nul(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, concurrency=Limit(1, per="order_id"))
    async def echo(event: Placed) -> str:
        return event.order_id

    await jobs.send(Placed(tenant_id="acme", order_id="\\u0000 \\\\u0000"))
    await jobs_harness.drain()
    (run,) = await jobs_harness.runs_of("acme")
    assert run.result == "\\u0000 \\\\u0000"


async def test_a_called_runs_payload_is_refused_too(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task()
    async def count(numbers: Numbers) -> None: ...

    @jobs.task(on=Placed)
    async def caller(event: Placed, ctx: Context) -> str:
        with pytest.raises(InvalidEvent, match="names has a NUL character"):
            await ctx.call(count, Numbers(values=[], names=["\x00"]))
        with pytest.raises(PayloadTooLarge):
            await ctx.call(count, Numbers(values=[], names=["x" * 300_000]))
        return "refused"

    assert (await ended(jobs_harness)).result == "refused"
