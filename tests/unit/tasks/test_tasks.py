from datetime import timedelta

import pytest

from cgk_jobs.errors import InvalidSchedule, InvalidTask
from cgk_jobs.events import Event
from cgk_jobs.runtime.retry import delay_before, may_retry
from cgk_jobs.tasks.group import TaskGroup
from cgk_jobs.tasks.policy import Limit, Rate, Retry
from cgk_jobs.tasks.schedule import Cron, Tick
from cgk_jobs.tasks.task import ScheduleSpec


class Placed(Event, name="tasks.placed"):
    order_id: str


def test_declarations_are_checked_when_made() -> None:
    group = TaskGroup()

    @group.task(on=Placed, id="sync", concurrency=Limit(2, per="order_id"), rate=Rate(1))
    async def sync(event: Placed) -> None: ...

    assert [task.id for task in group] == ["sync"]
    with pytest.raises(InvalidTask, match="two tasks have the id"):
        group.task(on=Placed, id="sync")(sync.handler)
    with pytest.raises(InvalidTask, match="field of its event"):
        group.task(on=Placed, id="other", concurrency=Limit(1, per="colour"))(sync.handler)
    with pytest.raises(InvalidTask):
        Retry(max_attempts=0)


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


def test_retry_waits() -> None:
    policy = Retry(max_attempts=3, initial=2, maximum=5, jitter=0, give_up_on=(KeyError,))
    assert [delay_before(policy, attempt, 0.5) for attempt in (1, 2, 3)] == [2, 4, 5]
    assert may_retry(policy, 2, ValueError())
    assert not may_retry(policy, 3, ValueError())
    assert not may_retry(policy, 1, KeyError())
