"""Flow control from an application's side: what a send answers, what handlers get."""

from __future__ import annotations

import asyncio
import sqlite3
from contextlib import closing
from typing import Annotated

import pytest
from pydantic import BaseModel

from cgk_jobs import (
    Batch,
    Context,
    Debounce,
    DuplicateKey,
    Event,
    InvalidEvent,
    Jobs,
    Latest,
    Limit,
    Retry,
    Send,
    Throttle,
    Unique,
    tenant_context,
)
from cgk_jobs.events import Secret
from cgk_jobs.testing import JobsHarness


class Changed(Event, name="flow.changed"):
    order_id: str = "1"
    number: int = 0
    token: Annotated[str, Secret] = ""


class Row(BaseModel):
    path: str


def changed(number: int = 0, order_id: str = "1", tenant_id: str = "acme") -> Changed:
    return Changed(tenant_id=tenant_id, order_id=order_id, number=number)


@pytest.fixture
def jobs(jobs_harness: JobsHarness) -> Jobs:
    return jobs_harness.jobs


async def test_a_second_send_of_a_unique_task_is_a_duplicate_of_the_first(
    jobs: Jobs, jobs_harness: JobsHarness
) -> None:
    @jobs.task(on=Changed, unique=Unique(by="order_id"))
    async def sync(event: Changed) -> int:
        return event.number

    first = await jobs.send(changed(1))
    second = await jobs.send(changed(2))
    assert (first.status, second.status) == ("accepted", "duplicate")
    assert second.run_ids == first.run_ids
    assert second.run_id == first.run_id
    assert second.event_id != first.event_id
    assert (await jobs.send(changed(1, tenant_id="rival"))).status == "accepted"
    await jobs_harness.drain()
    with tenant_context("acme"):
        assert (await jobs.runs.get(second.run_id)).result == 1
    assert [one.status for one in await jobs.send_many([changed(3), Send(changed(4))])] == ["accepted", "duplicate"]
    assert len(jobs_harness.sent) == 3, "duplicates are not among what was sent"


async def test_retrying_by_hand_says_which_run_is_in_the_way(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Changed, unique=Unique(by="order_id"), retry=Retry(max_attempts=1))
    async def sync(event: Changed) -> None:
        raise ValueError("no")

    first = await jobs.send(changed())
    await jobs_harness.drain()
    second = await jobs.send(changed())
    with tenant_context("acme"):
        with pytest.raises(DuplicateKey, match=second.run_id):
            await jobs.runs.retry(first.run_id)
        with pytest.raises(DuplicateKey):
            await jobs.runs.replay(first.run_id)


async def test_debounced_events_are_one_run_with_the_last_payload(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[int] = []

    @jobs.task(on=Changed, debounce=Debounce(30, by="order_id", max_wait=100))
    async def index(event: Changed) -> None:
        seen.append(event.number)

    sent = []
    for number in range(3):
        sent.append(await jobs.send(changed(number)))
        jobs_harness.clock.advance(20)
    assert {one.status for one in sent} == {"accepted"}
    assert len({one.run_id for one in sent}) == 1
    await jobs_harness.drain()
    assert seen == []
    jobs_harness.clock.advance(10)
    await jobs_harness.drain()
    assert seen == [2]
    (run,) = await jobs_harness.runs_of("acme")
    assert (run.events, run.payload["number"]) == (3, 2)
    with pytest.raises(InvalidEvent, match="without delay= and at="):
        await jobs.send(changed(), delay=5)
    mixed = await jobs.send_many([changed(5), Send(changed(6), delay=5), changed(7)])
    assert [one.status for one in mixed] == ["accepted", "refused", "accepted"]
    assert "without delay" in (mixed[1].error or "")


async def test_a_throttled_event_is_refused_and_nothing_of_it_is_stored(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Changed, throttle=Throttle(2, 60, by="order_id"))
    async def alert(event: Changed) -> int:
        return event.number

    sent = [await jobs.send(changed(number)) for number in range(3)]
    assert [one.status for one in sent] == ["accepted", "accepted", "refused"]
    assert (sent[2].run_ids, sent[2].event_id) == ((), "")
    assert "throttle=" in (sent[2].error or "")
    with pytest.raises(InvalidEvent, match="was refused"):
        _ = sent[2].run_id
    with pytest.raises(InvalidEvent, match="was refused"):
        await jobs.trigger_and_wait(changed(4))
    jobs_harness.clock.advance(60)
    assert (await jobs.send(changed(5))).status == "accepted"
    assert len(jobs_harness.sent) == 3


async def test_a_batch_handler_gets_a_list_of_one_tenants_events(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[tuple[str, list[int]]] = []

    @jobs.task(on=Changed, batch=Batch(3, 10))
    async def load(events: list[Changed], ctx: Context) -> int:
        assert ctx.event is events
        seen.append((ctx.tenant_id, [event.number for event in events]))
        return len(events)

    sent = [await jobs.send(changed(number, tenant_id=("acme", "rival")[number % 2])) for number in range(7)]
    assert len({one.run_id for one in sent}) == 3
    await jobs_harness.drain()
    assert sorted(seen) == [("acme", [0, 2, 4]), ("rival", [1, 3, 5])]
    await jobs_harness.drain(with_scheduled=True)
    assert seen[2] == ("acme", [6])
    (full, rest) = await jobs_harness.runs_of("acme")
    assert [run.events for run in (full, rest)] == [3, 1]
    assert [event["number"] for event in full.payload["events"]] == [0, 2, 4]
    with tenant_context("acme"):
        again = await jobs.runs.replay(full.id)
    await jobs_harness.drain()
    assert seen[3] == ("acme", [0, 2, 4])
    assert again.payload == full.payload


async def test_a_limit_per_field_counts_a_batch_by_the_field_its_events_share(
    jobs: Jobs, jobs_harness: JobsHarness
) -> None:
    running: set[str] = set()

    @jobs.task(on=Changed, batch=Batch(2, 10, by="order_id"), concurrency=Limit(1, per="order_id"))
    async def load(events: list[Changed]) -> None:
        (order,) = {event.order_id for event in events}
        assert order not in running
        running.add(order)
        together.append(len(running))
        await asyncio.sleep(0)
        running.remove(order)

    together: list[int] = []
    for number in range(12):
        await jobs.send(changed(number, "ab"[number % 2]))
    await jobs_harness.drain(raise_failures=True)
    assert len(together) == 6
    assert max(together) == 2


async def test_a_failed_batch_is_tried_again_whole(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[list[str]] = []

    @jobs.task(batch=Batch(2, 10), retry=Retry(max_attempts=2, initial=1))
    def load(rows: list[Row]) -> None:
        seen.append([row.path for row in rows])
        if len(seen) == 1:
            raise ValueError("no")

    with tenant_context("acme"):
        for path in ("a", "b"):
            await load.send(Row(path=path))
    await jobs_harness.drain(with_scheduled=True)
    assert seen == [["a", "b"], ["a", "b"]]


async def test_a_run_stored_before_its_task_gathered_any_is_a_batch_of_one(
    jobs: Jobs, jobs_harness: JobsHarness
) -> None:
    @jobs.task(on=Changed, batch=Batch(2, 10))
    async def load(events: list[Changed]) -> list[int]:
        return [event.number for event in events]

    assert await jobs_harness.run_task(load, changed(5)) == [5]


async def test_runs_of_a_key_go_in_the_order_sent_and_a_failure_makes_way(
    jobs: Jobs, jobs_harness: JobsHarness
) -> None:
    seen: list[tuple[str, int, int]] = []

    @jobs.task(on=Changed, ordered_by="order_id", retry=Retry(max_attempts=2, initial=60, jitter=0))
    async def apply(event: Changed, ctx: Context) -> None:
        seen.append((event.order_id, event.number, ctx.attempt))
        if event.number == 1:
            raise ValueError("no")
        if event.number == 2:
            await ctx.sleep(30)

    for number in range(4):
        for order in ("a", "b"):
            await jobs.send(changed(number, order))
    await jobs_harness.drain(with_scheduled=True)
    for order in ("a", "b"):
        steps = [(number, attempt) for key, number, attempt in seen if key == order]
        assert steps == [(0, 1), (1, 1), (1, 2), (2, 1), (2, 1), (3, 1)]
    with tenant_context("acme"):
        assert await jobs.runs.count() == {"completed": 6, "failed": 2}


async def test_the_newest_run_wins(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    seen: list[int] = []

    @jobs.task(on=Changed, latest=Latest(by="order_id"))
    async def preview(event: Changed) -> None:
        seen.append(event.number)

    sent = [await jobs.send(changed(number)) for number in range(3)]
    await jobs.send(changed(9, tenant_id="rival"))
    await jobs_harness.drain()
    assert sorted(seen) == [2, 9]
    with tenant_context("acme"):
        run = await jobs.runs.get(sent[0].run_id)
    assert (run.state, run.error) == ("cancelled", "cancelled: a newer run of its key was sent")


async def test_what_throttles_and_periods_remember_is_forgotten_in_time(jobs: Jobs, jobs_harness: JobsHarness) -> None:
    @jobs.task(on=Changed, throttle=Throttle(2, 60), unique=Unique(period=60))
    async def sync(event: Changed) -> None: ...

    def remembered() -> list[int]:
        with closing(sqlite3.connect(jobs_harness.folder / "jobs.db")) as ledger:
            tables = ("throttles", "idempotency_keys")
            return [ledger.execute(f"SELECT count(*) FROM {table}").fetchone()[0] for table in tables]

    await jobs.send(changed())
    await jobs_harness.drain()
    assert remembered() == [1, 1]
    jobs_harness.clock.advance(60)
    await jobs_harness.drain()
    assert remembered() == [0, 0]


async def test_every_process_respects_what_a_task_declared(jobs_harness: JobsHarness) -> None:
    # One that only sends: it knows the event, not the task.
    @jobs_harness.jobs.task(on=Changed, unique=Unique(by="order_id"))
    async def sync(event: Changed) -> None: ...

    await jobs_harness.jobs.declare()
    sender = Jobs(database=jobs_harness.folder / "jobs.db", clock=jobs_harness.clock)
    try:
        sent = [await sender.send(changed()) for _ in range(2)]
    finally:
        sender.close()
    assert [one.status for one in sent] == ["accepted", "duplicate"]
