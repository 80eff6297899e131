import dataclasses
import re
from collections.abc import Callable, Iterator
from datetime import timedelta
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from pydantic import BaseModel

from cgk_jobs.errors import InvalidSchedule, InvalidTask, NonRetryable, NotConfigured, RetryAfter
from cgk_jobs.events import Event
from cgk_jobs.runtime.retry import delay_before, may_retry
from cgk_jobs.tasks.group import TaskGroup
from cgk_jobs.tasks.policy import Limit, Priority, Rate, Retry
from cgk_jobs.tasks.schedule import Cron, Tick
from cgk_jobs.tasks.task import ScheduleSpec


class Placed(Event, name="tasks.placed"):
    order_id: str


class Upload(BaseModel):
    path: str


def test_declarations_are_checked_when_made() -> None:
    group = TaskGroup()

    @group.task(on=Placed, id="sync", concurrency=Limit(2, per="order_id"), rate=Rate(1))
    async def sync(event: Placed) -> None: ...

    assert [task.id for task in group] == ["sync"]
    with pytest.raises(InvalidTask, match="two tasks have the id"):
        group.task(on=Placed, id="sync")(sync.handler)
    with pytest.raises(InvalidTask, match="field of its event"):
        group.task(on=Placed, id="other", concurrency=Limit(1, per="colour"))(sync.handler)


def test_a_cron_task_carries_its_schedule() -> None:
    group = TaskGroup()

    @group.cron("0 9 * * 1-5", timezone="Europe/Berlin", tenants="each", spread=timedelta(minutes=10), skip=["acme"])
    async def morning_report(tick: Tick) -> None: ...

    assert morning_report.id == "morning-report"
    assert morning_report.schedule == ScheduleSpec(
        Cron("0 9 * * 1-5", "Europe/Berlin"), "each", "latest", 600.0, frozenset({"acme"})
    )


def test_a_schedule_is_checked_when_declared() -> None:
    group = TaskGroup()
    with pytest.raises(InvalidSchedule, match="61"):
        group.cron("61 * * * *", tenants="platform")
    with pytest.raises(InvalidSchedule, match="Mars/X"):
        group.cron("* * * * *", timezone="Mars/X", tenants="platform")
    with pytest.raises(InvalidTask, match="choose latest, all or skip"):
        group.cron("* * * * *", tenants="platform", misfire="newest")  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match="choose each, seen or platform"):
        group.cron("* * * * *", tenants="everyone")  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match="zero or more"):
        group.cron("* * * * *", tenants="each", spread=-1)


@pytest.mark.parametrize(
    "make",
    [
        lambda: Retry(max_attempts=0),
        lambda: Retry(backoff="random"),  # type: ignore[arg-type]
        lambda: Retry(initial=-1),
        lambda: Retry(maximum=-1),
        lambda: Retry(factor=0.5),
        lambda: Retry(jitter=1.5),
        lambda: Limit(0),
        lambda: Rate(0),
        lambda: Rate(1, seconds=0),
        lambda: Priority(101),
        lambda: Priority(-1),
    ],
)
def test_policies_that_can_not_work_are_refused(make: Callable[[], object]) -> None:
    with pytest.raises(InvalidTask):
        make()


@pytest.mark.parametrize(
    ("options", "message"),
    [
        ({"id": "no spaces"}, "task id 'no spaces'"),
        ({"id": "x" * 129}, "task id"),
        ({"queue": "a/b"}, "queue 'a/b'"),
        ({"timeout": 0}, "timeout"),
        ({"expires": -5}, "expires must be more than 0"),
        ({"isolation": "container"}, "choose thread or process"),
        ({"isolation": "process"}, "not `async def`"),
        ({"priority": 200}, "out of range"),
        ({"rate": Rate(1, per="colour")}, "field of its event Placed: tenant_id, order_id"),
    ],
)
def test_options_that_can_not_work_are_refused(options: dict[str, Any], message: str) -> None:
    async def handler(event: Placed) -> None: ...

    task: Callable[..., Any] = TaskGroup().task
    with pytest.raises(InvalidTask, match=re.escape(message)):
        task(on=Placed, **options)(handler)


def test_handlers_that_can_not_work_are_refused() -> None:
    def nothing() -> None: ...

    def three(event: Placed, ctx: object, more: object) -> None: ...

    def yields(event: Placed) -> Iterator[int]:
        yield 1

    group = TaskGroup()
    for handler, message in ((nothing, "takes (event)"), (three, "takes (event)"), (yields, "a generator is not run")):
        with pytest.raises(InvalidTask, match=re.escape(message)):
            group.task(on=Placed)(handler)  # type: ignore[arg-type]
    with pytest.raises(InvalidTask, match="Event class itself"):
        group.task(on=dict)  # type: ignore[type-var]
    with pytest.raises(InvalidTask, match="no event name"):
        group.task(on=Event)


def test_durations_are_seconds_or_timedeltas() -> None:
    group = TaskGroup()

    @group.task(on=Placed, timeout=timedelta(minutes=2), expires=timedelta(hours=1), priority=Priority(7, True))
    def by_timedelta(event: Placed, ctx: object = None) -> None: ...

    assert (by_timedelta.id, by_timedelta.timeout, by_timedelta.expires) == ("by-timedelta", 120.0, 3_600.0)
    assert (by_timedelta.priority.rank, by_timedelta.is_async, by_timedelta.wants_context) == (-7, False, True)
    assert Priority(7).rank == 0


def test_a_payload_model_is_found_by_the_annotation() -> None:
    group = TaskGroup()

    @group.task()
    async def import_file(payload: Upload) -> None: ...

    assert (import_file.on, import_file.payload) == (None, Upload)
    untyped: Any = lambda payload: None  # noqa: E731
    with pytest.raises(InvalidTask):
        group.task(id="untyped")(untyped)


async def test_calling_a_task_calls_its_handler_and_sending_needs_an_application() -> None:
    group = TaskGroup()

    @group.task(on=Placed)
    async def sync(event: Placed) -> str:
        return event.order_id

    assert await sync(Placed(tenant_id="acme", order_id="1")) == "1"
    with pytest.raises(NotConfigured, match=re.escape("jobs.include(group)")):
        await sync.send(Placed(tenant_id="acme", order_id="1"))


WAITS = {
    "exponential": [2, 6, 18, 50, 50],
    "linear": [2, 4, 6, 8, 10],
    "fixed": [2, 2, 2, 2, 2],
}


@pytest.mark.parametrize("backoff", WAITS)
def test_retry_waits(backoff: Any) -> None:
    policy = Retry(backoff=backoff, initial=2, factor=3, maximum=50, jitter=0)
    assert [delay_before(policy, attempt, 0.5) for attempt in range(1, 6)] == WAITS[backoff]


@given(
    backoff=st.sampled_from(sorted(WAITS)), attempt=st.integers(1, 10_000), chance=st.floats(0, 1),
    initial=st.floats(0, 1e4), maximum=st.floats(0, 1e6), factor=st.floats(1, 1e3), jitter=st.floats(0, 1),
)  # fmt: skip
def test_waits_stay_within_their_bounds(
    backoff: Any, attempt: int, chance: float, initial: float, maximum: float, factor: float, jitter: float
) -> None:
    policy = Retry(5, backoff, initial, maximum, factor, jitter)
    full = delay_before(dataclasses.replace(policy, jitter=0.0), attempt, chance)
    assert 0 <= full <= maximum
    assert full * (1 - jitter) - 1e-6 <= delay_before(policy, attempt, chance) <= full
    assert full <= delay_before(dataclasses.replace(policy, jitter=0.0), attempt + 1, chance)


def test_which_errors_are_tried_again() -> None:
    policy = Retry(max_attempts=3, give_up_on=(KeyError,))
    assert may_retry(policy, 2, ValueError())
    assert not may_retry(policy, 3, ValueError())
    assert not may_retry(policy, 1, KeyError())
    assert not may_retry(policy, 1, NonRetryable("no"))
    picky = Retry(retry_on=(OSError,), give_up_on=(PermissionError,))
    assert may_retry(picky, 1, ConnectionError())
    assert not may_retry(picky, 1, ValueError())
    assert not may_retry(picky, 1, PermissionError())
    # A timeout, and an explicit wish for a later attempt, are tried again whatever the list says.
    assert may_retry(picky, 1, TimeoutError())
    assert may_retry(picky, 1, RetryAfter(5))


def test_a_wait_too_long_for_any_clock_is_cut_short() -> None:
    for policy in (
        Retry(max_attempts=99, factor=1e300, maximum=float("inf"), jitter=0),
        Retry(initial=1e300, maximum=1e300),
    ):
        assert 0 < delay_before(policy, 9, 0) < 20 * 366 * 86_400
