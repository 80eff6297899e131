"""What people get wrong: refused at once, by an error that names the remedy, with nothing stored."""

from __future__ import annotations

from collections.abc import AsyncIterator, Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest

from cgk_jobs import (
    DuplicateKey,
    Event,
    InvalidEvent,
    InvalidSchedule,
    InvalidTask,
    Jobs,
    JobsError,
    Limit,
    NotConfigured,
    PayloadTooLarge,
    Rate,
    Retry,
    RunNotFound,
    Send,
    Tick,
    UnknownEvent,
    Unsupported,
    across_tenants,
    tenant_context,
)
from cgk_jobs.engine.records import NewEvent

NAIVE = datetime(2026, 1, 1)  # noqa: DTZ001


class Placed(Event, name="bad.placed"):
    order_id: str
    total_cents: int = 0
    at: datetime | None = None
    note: str = ""


@pytest.fixture
async def jobs(tmp_path: Path) -> AsyncIterator[Jobs]:
    jobs = Jobs(database=tmp_path / "jobs.db")

    @jobs.task(on=Placed)
    async def place(event: Placed) -> None: ...

    yield jobs
    await jobs.stop(grace=0)
    jobs.close()


async def stored(jobs: Jobs) -> int:
    with across_tenants(reason="a test counts rows"):
        return sum((await jobs.runs.count()).values())


def good(**fields: Any) -> Placed:
    return Placed(tenant_id="acme", order_id="1", **fields)


PAYLOADS: list[tuple[dict[str, Any], str]] = [
    ({"order_id": "1", "total": 5}, "total is not a field of this event: remove it"),
    ({}, "order_id is missing: pass it"),
    ({"order_id": 1}, "order_id: Input should be a valid string"),
    ({"order_id": "1", "total_cents": "5"}, "total_cents: Input should be a valid integer"),
    ({"order_id": "1", "total_cents": 5.5}, "total_cents"),
    ({"order_id": "1", "total_cents": True}, "total_cents"),
    ({"order_id": None}, "order_id"),
    ({"order_id": "1", "at": "2026-01-01T00:00:00"}, "at must be an aware datetime: add tzinfo"),
    ({"order_id": "1", "at": object()}, "can't be stored as JSON"),
]


@pytest.mark.parametrize(("fields", "message"), PAYLOADS, ids=[message for _, message in PAYLOADS])
async def test_a_payload_that_does_not_fit(jobs: Jobs, fields: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent, match=r"bad\.placed") as refusal:
        await jobs.send("bad.placed", {"tenant_id": "acme", **fields})
    assert message in str(refusal.value)
    assert await stored(jobs) == 0


async def test_an_event_nobody_knows(jobs: Jobs) -> None:
    with pytest.raises(UnknownEvent, match=r"no event 'bad\.plaecd'"):
        await jobs.send("bad.plaecd", {"tenant_id": "acme", "order_id": "1"})
    wrongs: list[tuple[Any, ...]] = [(), ("text",), ({"tenant_id": "acme"}, {})]
    for wrong in wrongs:
        with pytest.raises(InvalidEvent, match="give the payload as one dict"):
            await jobs.send("bad.placed", *wrong)
    assert await stored(jobs) == 0


async def test_a_payload_over_the_limit(jobs: Jobs) -> None:
    with pytest.raises(PayloadTooLarge, match=r"262,144\. Store the data and send a reference"):
        await jobs.send(good(note="x" * 256 * 1024))
    assert await stored(jobs) == 0
    # The limit counts bytes, not characters.
    with pytest.raises(PayloadTooLarge):
        await jobs.send(good(note="ä" * 130 * 1024))
    await jobs.send(good(note="x" * 255 * 1024))
    assert await stored(jobs) == 1


OPTIONS: list[tuple[dict[str, Any], str]] = [
    ({"delay": -1}, "zero or more seconds"),
    ({"delay": timedelta(seconds=-1)}, "zero or more seconds"),
    ({"delay": float("nan")}, "zero or more seconds"),
    ({"delay": float("inf")}, "at most ten years"),
    ({"at": NAIVE}, "is a naive datetime: add tzinfo"),
    ({"at": datetime(2026, 1, 1, tzinfo=UTC), "delay": 5}, "not both"),
    ({"key": ""}, "1 to 255 characters"),
    ({"key": "x" * 256}, "1 to 255 characters"),
    ({"key": "k", "key_ttl": 0}, "more than 0 seconds"),
    ({"priority": -1}, "0 (default) to 100"),
    ({"priority": 101}, "0 (default) to 100"),
    ({"expires": 0}, "more than 0 seconds"),
    ({"tags": "one"}, 'give a list, ["one"]'),
    ({"tags": [""]}, "1 to 100 characters"),
    ({"tags": ["a,b"]}, "without commas"),
    ({"when": 5}, "send has no option when"),
]


@pytest.mark.parametrize(("options", "message"), OPTIONS, ids=[repr(options) for options, _ in OPTIONS])
async def test_a_send_option_that_can_t_be(jobs: Jobs, options: dict[str, Any], message: str) -> None:
    with pytest.raises(InvalidEvent) as refusal:
        await jobs.send(good(), **options)
    assert message in str(refusal.value)
    assert await stored(jobs) == 0


async def test_an_option_this_provider_lacks_is_refused_and_names_the_way_out(jobs: Jobs) -> None:
    with pytest.raises(Unsupported, match="send after the commit, with key="):
        await jobs.send(good(), connection=object())
    assert await stored(jobs) == 0


async def test_a_key_used_for_two_payloads(jobs: Jobs) -> None:
    await jobs.send(good(), key="k")
    with pytest.raises(DuplicateKey, match="choose another key"):
        await jobs.send(good(note="other"), key="k")
    assert await stored(jobs) == 1


async def test_a_batch_says_of_each_why_it_was_refused(jobs: Jobs) -> None:
    answers = await jobs.send_many([good(), Send(good(), delay=-1), Send(good(), at=NAIVE), good()])
    assert [answer.status for answer in answers] == ["accepted", "refused", "refused", "accepted"]
    assert "zero or more" in (answers[1].error or "")
    assert "naive" in (answers[2].error or "")
    assert await stored(jobs) == 2


async def test_a_task_the_ledger_does_not_know(jobs: Jobs) -> None:
    await jobs.declare()
    with pytest.raises(InvalidTask, match="no process has declared a task 'gone'"):
        await jobs.provider.store.insert([NewEvent("acme", "bad.placed", 1, "{}", task="gone")])
    with pytest.raises(InvalidTask, match="there is no task 'gone' here; known: place"):
        jobs.tasks["gone"]
    assert await stored(jobs) == 0


async def test_a_run_that_is_not_there(jobs: Jobs) -> None:
    with tenant_context("acme"):
        for run_id in ("", "nonsense", "01900000-0000-7000-8000-000000000000", "' OR 1=1 --", "0" * 36):
            with pytest.raises(RunNotFound, match=r"jobs\.runs\.list"):
                await jobs.runs.get(run_id)


async def tick(tick: Tick) -> None: ...


async def handler(event: Placed) -> None: ...


def generator(event: Placed) -> Any:
    yield


DECLARATIONS: list[tuple[Callable[[Jobs], object], type[JobsError], str]] = [
    (lambda jobs: jobs.cron("61 * * * *", tenants="platform"), InvalidSchedule, "minute"),
    (lambda jobs: jobs.cron("* * * *", tenants="platform"), InvalidSchedule, "it has 4 fields, not 5"),
    (lambda jobs: jobs.cron("0 0 31 2 *", tenants="platform"), InvalidSchedule, "day-of-month"),
    (lambda jobs: jobs.cron("0 0 * * *", timezone="Mars/Olympus", tenants="platform"), InvalidSchedule, "Mars/Olympus"),
    (lambda jobs: jobs.cron("0 0 * * *", tenants="all"), InvalidTask, "choose each, seen or platform"),  # type: ignore[arg-type]
    (lambda jobs: jobs.cron("0 0 * * *", tenants="each", misfire="now"), InvalidTask, "choose latest, all or skip"),  # type: ignore[arg-type]
    (lambda jobs: jobs.cron("0 0 * * *", tenants="each", spread=-1), InvalidTask, "zero or more"),
    (lambda jobs: jobs.task(on=Placed, id="place")(handler), InvalidTask, "two tasks have the id 'place'"),
    (lambda jobs: jobs.task(on=Placed, id="a task")(handler), InvalidTask, "letters, digits"),
    (lambda jobs: jobs.task(on=Placed, timeout=0)(handler), InvalidTask, "timeout must be more than 0"),
    (lambda jobs: jobs.task(on=Placed, expires=-5)(handler), InvalidTask, "expires must be more than 0"),
    (lambda jobs: jobs.task(on=Placed, priority=101)(handler), InvalidTask, "0 (default) to 100"),
    (lambda jobs: jobs.task(on=Placed, queue="a queue")(handler), InvalidTask, "queue"),
    (lambda jobs: jobs.task(on=Placed, concurrency=Limit(1, per="colour"))(handler), InvalidTask, "order_id"),
    (lambda jobs: jobs.task(on=Placed)(generator), InvalidTask, "a generator is not run"),
    (lambda jobs: jobs.task(on=Placed, isolation="process")(handler), InvalidTask, "write `def`"),
    (lambda jobs: Limit(0), InvalidTask, "at least 1"),
    (lambda jobs: Rate(1, seconds=0), InvalidTask, "seconds above 0"),
    (lambda jobs: Retry(max_attempts=0), InvalidTask, "at least 1"),
    (lambda jobs: Retry(jitter=2), InvalidTask, "0 to 1"),
    (lambda jobs: Retry(backoff="random"), InvalidTask, "choose exponential"),  # type: ignore[arg-type]
]


@pytest.mark.parametrize(("declare", "error", "message"), DECLARATIONS, ids=[text for _, _, text in DECLARATIONS])
def test_a_declaration_that_can_t_work_is_refused_where_it_is_written(
    tmp_path: Path, declare: Callable[[Jobs], object], error: type[JobsError], message: str
) -> None:
    jobs = Jobs(database=tmp_path / "jobs.db")
    jobs.task(on=Placed, id="place")(handler)
    with pytest.raises(error) as refusal:
        declare(jobs)
    assert message in str(refusal.value)
    assert not (tmp_path / "jobs.db").exists()


async def test_schedules_for_tenants_that_do_not_exist_are_refused_at_the_start(jobs: Jobs) -> None:
    jobs.cron("0 0 * * *", tenants="each")(tick)
    with pytest.raises(NotConfigured, match="cgk jobs tenants add"):
        await jobs.start()
    assert jobs.running is None
    await jobs.tenants.add("acme")
    await jobs.start()


async def test_a_tenants_time_zone_that_does_not_exist(jobs: Jobs) -> None:
    with pytest.raises(InvalidSchedule, match="Mars"):
        await jobs.tenants.add("acme", timezone="Mars/Olympus")
    assert await jobs.tenants.list() == []


async def test_a_second_start(jobs: Jobs) -> None:
    await jobs.start()
    with pytest.raises(NotConfigured, match=r"stop\(\) them first"):
        await jobs.start()
    wrong: list[dict[str, Any]] = [{"concurrency": 0}, {"lease": 0.0}]
    for options in wrong:
        with pytest.raises(NotConfigured):
            Jobs(database=":memory:?").start(**options)


@pytest.mark.parametrize(
    ("address", "message"),
    [
        ("mysql://host/db", "mysql:// is no ledger; use sqlite:///"),
        ("sqlite://host/db", "write sqlite:///path"),
        ("sqlite:///", "write sqlite:///path"),
        ("sqlite:///:memory:", "would lose every run; give a file"),
        ("postgresql://host/db#1", "write it as %23"),
        ("kafka", "choose one of embedded"),
    ],
)
def test_an_address_that_is_no_ledger(address: str, message: str) -> None:
    with pytest.raises(JobsError) as refusal:
        Jobs(address)
    assert message in str(refusal.value)
