"""What can't work ends a run with an error that says what to do, at once, and the run keeps its history."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from pydantic import BaseModel

from cgk_jobs import Context, Event, Jobs, Retry, across_tenants, tenant_context
from cgk_jobs.testing import JobsHarness


class Placed(Event, name="bad_input.placed"):
    order_id: str = "1"


class Paid(Event, name="bad_input.paid"):
    order_id: str
    receipt: str = ""


class Deeper(BaseModel):
    below: int = 0


Act = Callable[[Jobs, Context], Awaitable[Any]]
done: list[str] = []


def works(result: Any) -> Callable[[], Any]:
    def work() -> Any:
        done.append("work")
        return result

    return work


async def keeps_an_object(jobs: Jobs, ctx: Context) -> None:
    await ctx.step("bad", works(object()))


async def keeps_an_object_and_tries_again(jobs: Jobs, ctx: Context) -> None:
    await ctx.step("bad", works({1, object()}), retry=Retry(max_attempts=5, initial=0))


async def keeps_too_much(jobs: Jobs, ctx: Context) -> None:
    await ctx.step("bad", works("x" * 300_000), retry=Retry(max_attempts=5, initial=0))


async def returns_an_object(jobs: Jobs, ctx: Context) -> Any:
    return works(object())()


async def gives_a_step_more_time_than_there_is(jobs: Jobs, ctx: Context) -> None:
    await ctx.step("bad", works(1), timeout=3_600)


async def calls_for_another_tenant(jobs: Jobs, ctx: Context) -> None:
    with across_tenants(reason="a test"):
        await ctx.call(jobs.tasks["handler"], Placed(tenant_id="globex"))


async def calls_itself_without_end(jobs: Jobs, ctx: Context) -> None:
    await ctx.call(jobs.tasks["deeper"], Deeper())


async def sleeps_inside_a_step(jobs: Jobs, ctx: Context) -> None:
    await ctx.step("bad", ctx.sleep, 60)


async def takes_another_course(jobs: Jobs, ctx: Context) -> None:
    if ctx.attempt == 1:
        raise ConnectionError
    await ctx.step("other", works(1))
    await ctx.step("first", works(1))


@pytest.mark.parametrize(
    ("act", "error", "worked"),
    [
        (keeps_an_object, "InvalidResult: the result of step 'bad': object can't be stored as JSON", 1),
        (keeps_an_object_and_tries_again, "InvalidResult: the result of step 'bad': set can't be stored as JSON", 1),
        (keeps_too_much, "PayloadTooLarge: the result of step 'bad' has 300,002 characters of JSON, the limit is", 1),
        (returns_an_object, "InvalidResult: the handler's result: object can't be stored as JSON", 1),
        (gives_a_step_more_time_than_there_is, "InvalidTask: step 'bad' may take 3600 s, and its task only", 0),
        (calls_for_another_tenant, "TenantMismatch: a run of tenant 'acme' can't call one of 'globex'", 0),
        (calls_itself_without_end, "RunFailed: ", 0),
        (sleeps_inside_a_step, "InvalidTask: a sleep inside the function of a step", 0),
        (takes_another_course, "JournalMismatch: the handler asks for 'other' where the journal", 0),
    ],
)
async def test_a_run_that_can_not_go_on_keeps_its_history(
    jobs_harness: JobsHarness, act: Act, error: str, worked: int
) -> None:
    jobs = jobs_harness.jobs
    done.clear()

    @jobs.task()
    async def deeper(payload: Deeper, ctx: Context) -> None:
        await ctx.call(deeper, Deeper(below=payload.below + 1))

    @jobs.task(on=Placed, retry=Retry(max_attempts=3, initial=1))
    async def handler(event: Placed, ctx: Context) -> Any:
        if act is not takes_another_course or ctx.attempt == 1:
            await ctx.step("first", lambda: "kept")
        return await act(jobs, ctx)

    sent = await jobs.send(Placed(tenant_id="acme"))
    await jobs_harness.drain(with_scheduled=True)
    with tenant_context("acme"):
        run = await jobs.runs.get(sent.run_id)
    assert (run.state, str(run.error)[: len(error)]) == ("failed", error)
    assert (run.steps[0].name, run.steps[0].result) == ("first", "kept")
    assert [step.name for step in run.steps if step.name in ("bad", "other")] == []
    assert len(done) == worked, "a function whose result can't be kept has done its work, and is not called again"


@pytest.mark.parametrize(
    ("event", "match", "error"),
    [
        ("bad_input.nothing", None, "no event 'bad_input.nothing' is known here, nor in the catalogue"),
        (
            "bad_input.plased",
            None,
            "Did you mean 'bad_input.placed'? An event of your own is known once a task listens",
        ),
        (Paid, "receipt", "Placed, which this run was made of, has no field 'receipt'; give the value"),
        (Paid, {"colour": "red"}, "'colour' is none of its fields; match one of: order_id, receipt"),
        (Paid, {"order_id": 1}, "its field 'order_id' never has this value"),
    ],
)
async def test_a_wait_that_can_never_end_is_refused_where_it_begins(
    jobs_harness: JobsHarness, event: Any, match: Any, error: str
) -> None:
    jobs = jobs_harness.jobs

    @jobs.task(on=Placed, retry=Retry(max_attempts=1))
    async def handler(placed: Placed, ctx: Context) -> None:
        await ctx.step("first", lambda: "kept")
        await ctx.wait_for(event, match)

    sent = await jobs.send(Placed(tenant_id="acme"))
    await jobs_harness.drain()
    with tenant_context("acme"):
        run = await jobs.runs.get(sent.run_id)
    assert run.state == "failed"
    assert error in str(run.error)
    assert [step.name for step in run.steps] == ["first"]


async def test_a_name_used_again_is_numbered_and_answers_by_its_number(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs
    calls: list[int] = []

    def call(number: int) -> int:
        calls.append(number)
        return number

    @jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=1))
    async def handler(event: Placed, ctx: Context) -> list[int]:
        found = [await ctx.step("mail", call, number) for number in range(3)]
        if ctx.attempt == 1:
            raise ConnectionError
        return found

    sent = await jobs.send(Placed(tenant_id="acme"))
    await jobs_harness.drain(with_scheduled=True)
    with tenant_context("acme"):
        run = await jobs.runs.get(sent.run_id)
    assert (run.result, calls) == ([0, 1, 2], [0, 1, 2])
    assert [step.name for step in run.steps] == ["mail", "mail#2", "mail#3"]
