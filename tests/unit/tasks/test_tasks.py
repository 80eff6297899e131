from datetime import UTC, datetime, timedelta

import pytest

from cgk_jobs.errors import InvalidSchedule, InvalidTask
from cgk_jobs.events import Event
from cgk_jobs.runtime.retry import delay_before, may_retry
from cgk_jobs.tasks.group import TaskGroup
from cgk_jobs.tasks.policy import Limit, Rate, Retry
from cgk_jobs.tasks.schedule import Cron, due_ticks


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


@pytest.mark.parametrize(
    ("cron", "zone"), [("* * *", "UTC"), ("61 * * * *", "UTC"), ("0 0 31 2 *", "UTC"), ("* * * * *", "Mars/X")]
)
def test_bad_schedules(cron: str, zone: str) -> None:
    with pytest.raises(InvalidSchedule):
        Cron(cron, zone)


def test_daylight_saving_days_in_new_york() -> None:
    gap = Cron("30 2 * * *", "America/New_York").next_after(datetime(2026, 3, 8, 5, tzinfo=UTC))
    assert gap == datetime(2026, 3, 8, 7, 0, tzinfo=UTC)
    overlap = Cron("30 1 * * *", "America/New_York")
    first = overlap.next_after(datetime(2026, 11, 1, 4, tzinfo=UTC))
    assert overlap.next_after(first) - first == timedelta(hours=25)


def test_missed_ticks() -> None:
    cron, last = Cron("0 * * * *"), datetime(2026, 1, 1, tzinfo=UTC)
    now = last + timedelta(hours=6, minutes=5)
    assert len(due_ticks(cron, last, now, "all")) == 6
    assert due_ticks(cron, last, now, "latest") == [(last + timedelta(hours=6), 5)]
    assert due_ticks(cron, last, now, "skip") == []


def test_retry_waits() -> None:
    policy = Retry(max_attempts=3, initial=2, maximum=5, jitter=0, give_up_on=(KeyError,))
    assert [delay_before(policy, attempt, 0.5) for attempt in (1, 2, 3)] == [2, 4, 5]
    assert may_retry(policy, 2, ValueError())
    assert not may_retry(policy, 3, ValueError())
    assert not may_retry(policy, 1, KeyError())
