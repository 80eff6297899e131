"""What a handler gets: steps, sleep, log, progress, tags, and what is refused."""

from __future__ import annotations

from datetime import datetime, timedelta
from typing import Any

import pytest

from cgk_jobs import Context, Event, Jobs, Retry
from cgk_jobs.runs import Run
from cgk_jobs.runtime.context import MAX_LINE, MAX_LOG_LINES
from cgk_jobs.testing import JobsHarness
from cgk_jobs.wire.ids import parse_id


class Placed(Event, name="context.placed"):
    order_id: str = "1"


PLACED = Placed(tenant_id="acme")


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def outcome(harness: JobsHarness, **options: Any) -> Run:
    """Send one event, drain with all that follows, and read the run."""
    await harness.jobs.send(PLACED, **options)
    await harness.drain(with_scheduled=True)
    (run,) = await harness.runs_of("acme")
    return run


async def test_who_and_what_it_is(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[Any] = []

    @jobs.task(on=Placed, tags=["post"], retry=Retry(max_attempts=2, initial=1, jitter=0))
    async def handler(event: Placed, ctx: Context) -> None:
        seen.append(
            (ctx.tenant_id, ctx.run_id, ctx.task_id, ctx.attempt, ctx.max_attempts, ctx.event, ctx.fence, ctx.tags)
        )
        seen.append(ctx.idempotency_key("pay"))
        if ctx.attempt == 1:
            raise ValueError

    run = await outcome(jobs_harness, tags=["vip"])
    first, key, second, same_key = seen
    assert first == ("acme", run.id, "handler", 1, 2, PLACED, 1, ("post", "vip"))
    assert (second[3], second[6]) == (2, 2)
    assert key == same_key == f"{run.id}:pay"
    assert parse_id(run.id) is not None
    assert run.tags == ("post", "vip")


async def test_finished_steps_answer_from_the_journal(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[str] = []

    def call(name: str, result: Any = None) -> Any:
        calls.append(name)
        return result

    async def call_async(name: str) -> list[int]:
        return list(call(name, (1, 2)))

    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1, jitter=0))
    async def handler(event: Placed, ctx: Context) -> list[Any]:
        one = await ctx.step("one", call, "one", {"when": datetime(2026, 1, 1)})  # noqa: DTZ001
        two = await ctx.step("two", call_async, name="two")
        nothing = await ctx.step("nothing", call, "nothing")
        if ctx.attempt == 1:
            raise ValueError("between two and three")
        loop = [await ctx.step("mail", call, f"mail {number}", number) for number in range(3)]
        if ctx.attempt == 2:
            raise ValueError("after the mails")
        return [one, two, nothing, loop]

    run = await outcome(jobs_harness)
    assert run.state == "completed", (run.error, run.attempts, calls)
    assert calls == ["one", "two", "nothing", "mail 0", "mail 1", "mail 2"]
    assert run.result == [{"when": "2026-01-01T00:00:00"}, [1, 2], None, [0, 1, 2]]
    assert [step.name for step in run.steps] == ["one", "two", "nothing", "mail", "mail#2", "mail#3"]


async def test_a_failed_step_is_called_again(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    calls: list[int] = []

    def flaky() -> int:
        calls.append(1)
        if len(calls) == 1:
            raise ConnectionError
        return 7

    @jobs.task(on=Placed, retry=Retry(initial=1))
    async def handler(event: Placed, ctx: Context) -> int:
        return int(await ctx.step("flaky", flaky))

    run = await outcome(jobs_harness)
    assert (run.result, len(calls)) == (7, 2)


async def test_every_attempt_sees_the_json_form_of_a_step(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[Any] = []

    @jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=1))
    async def handler(event: Placed, ctx: Context) -> None:
        seen.append(await ctx.step("pair", lambda: (1, {2: "x"})))
        if ctx.attempt == 1:
            raise ValueError

    await outcome(jobs_harness)
    assert seen == [[1, {"2": "x"}]] * 2


@pytest.mark.parametrize(
    ("result", "error"),
    [
        (object(), "InvalidResult: the result of step 'big': object can't be stored"),
        ("x" * 300_000, "PayloadTooLarge: the result of step 'big'"),
    ],
)
async def test_a_step_that_cannot_be_kept_fails(jobs: Jobs, jobs_harness: JobsHarness, result: Any, error: str) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed, ctx: Context) -> None:
        await ctx.step("big", lambda: result)

    run = await outcome(jobs_harness)
    assert run.state == "failed"
    assert run.error is not None
    assert run.error.startswith(error)
    assert run.steps == ()


@pytest.mark.parametrize("result", [object(), "x" * 300_000])
async def test_a_result_that_cannot_be_kept_fails_the_run(jobs: Jobs, jobs_harness: JobsHarness, result: Any) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed) -> Any:
        return result

    assert (await outcome(jobs_harness)).state == "failed"


async def test_sleep_suspends_without_a_slot_and_once(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    passes: list[str] = []
    unwound: list[str] = []

    @jobs.task(on=Placed)
    async def sleeper(event: Placed, ctx: Context) -> int:
        passes.append(event.order_id)
        try:
            await ctx.sleep(timedelta(hours=1))
        except Exception:  # a suspension must pass
            unwound.append("caught")
        finally:
            unwound.append("finally")
        await ctx.sleep_until(jobs_harness.clock.now() - timedelta(days=1))
        return ctx.attempt

    for number in range(150):  # more than there are slots
        await jobs.send(Placed(tenant_id="acme", order_id=str(number)))
    drained = await jobs_harness.drain()
    assert drained.waiting == 150
    assert unwound == ["finally"] * 150
    run = (await jobs_harness.runs_of("acme"))[0]
    assert run.due_at == jobs_harness.clock.now() + timedelta(hours=1)
    jobs_harness.clock.advance(3_599)
    assert (await jobs_harness.drain()).attempts == 0
    jobs_harness.clock.advance(1)
    assert (await jobs_harness.drain()).completed == 150
    assert len(passes) == 300
    assert {run.result for run in await jobs_harness.runs_of("acme")} == {1}, "a sleep spends no attempt"


async def test_log_lines_are_kept_from_info_on(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=1))
    async def handler(event: Placed, ctx: Context) -> None:
        ctx.log.debug("unseen")
        ctx.log.info("order %s", event.order_id)
        ctx.log.warning("odd")
        ctx.log.error("x" * 10_000)
        if ctx.attempt == 1:
            raise ValueError

    run = await outcome(jobs_harness)
    assert [(line.attempt, line.level) for line in run.log] == [
        (attempt, level) for attempt in (1, 2) for level in ("INFO", "WARNING", "ERROR")
    ]
    assert run.log[0].message == "order 1"
    assert len(run.log[2].message) == MAX_LINE


async def test_the_log_of_an_attempt_is_capped_and_says_so(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed)
    async def chatty(event: Placed, ctx: Context) -> None:
        for number in range(MAX_LOG_LINES + 50):
            ctx.log.info("line %d", number)

    run = await outcome(jobs_harness)
    assert len(run.log) == MAX_LOG_LINES
    assert run.log[-2].message == f"line {MAX_LOG_LINES - 2}"
    assert run.log[-1].message == "further lines of this attempt are not kept"


async def test_progress_is_kept_and_checked(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> None:
        for fraction in (-0.1, 1.1):
            with pytest.raises(ValueError, match="from 0 to 1"):
                await ctx.progress(fraction)
        await ctx.progress(0.25, "a quarter")
        await ctx.progress(1, "x" * 1_000)

    run = await outcome(jobs_harness)
    assert run.progress == {"fraction": 1, "message": "x" * 500}


async def test_what_is_wrong_is_refused(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(event: Placed, ctx: Context) -> None:
        for bad in ("", "a#2", "x" * 201, "undo:pay"):
            with pytest.raises(ValueError, match="step name"):
                await ctx.step(bad, lambda: 1)
        with pytest.raises(ValueError, match="zero or more"):
            await ctx.sleep(-1)
        with pytest.raises(ValueError, match="naive"):
            await ctx.sleep_until(datetime(2026, 1, 1))  # noqa: DTZ001

    run = await outcome(jobs_harness)
    assert (run.state, run.error) == ("completed", None)
    assert run.steps == ()


async def test_an_option_the_function_itself_has_is_its_own(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    def call(*, timeout: int) -> int:
        return timeout

    @jobs.task(on=Placed)
    async def handler(event: Placed, ctx: Context) -> int:
        return int(await ctx.step("call", call, timeout=5))

    assert (await outcome(jobs_harness)).result == 5
