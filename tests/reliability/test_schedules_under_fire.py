"""Schedules while schedulers die, stand still, disagree, and the clock moves (S24, S25, S26)."""

from __future__ import annotations

import os
import signal
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.application import History
from tests.reliability.processes import Fleet, until

from cgk_jobs import Jobs, Tick, across_tenants
from cgk_jobs.clock import ManualClock, to_micros
from cgk_jobs.engine import scheduler
from cgk_jobs.engine.records import NewEvent
from cgk_jobs.tasks.schedule import Misfire

START = datetime(2026, 3, 2, 0, 0, 30, tzinfo=UTC)
HOUR = timedelta(hours=1)
TENANTS = [f"tenant-{number:03}" for number in range(120)]


def schedule(folder: Path, clock: ManualClock, expression: str = "0 * * * *", **options: Any) -> Jobs:
    """An application with one schedule for all tenants."""
    jobs = Jobs(database=folder / "jobs.db", clock=clock)

    @jobs.cron(expression, tenants="each", id="hourly", **options)
    async def hourly(tick: Tick) -> None: ...

    @jobs.tenant_source
    def tenants() -> list[str]:
        return TENANTS

    return jobs


async def fired(jobs: Jobs) -> dict[str, list[datetime]]:
    """The ticks of every tenant, in the order their runs were stored."""
    found: dict[str, list[datetime]] = {tenant: [] for tenant in TENANTS}
    with across_tenants(reason="a test counts ticks"):
        cursor: str | None = None
        while True:
            page = await jobs.runs.list(limit=1000, cursor=cursor)
            for run in page:
                moment = datetime.fromtimestamp(run.payload["at"] / 1e6, UTC)
                found[run.tenant_id].insert(0, moment)
            cursor = page.next_cursor
            if cursor is None:
                return found


async def look(jobs: Jobs) -> None:
    """Be a scheduler that looks at the clock once."""
    await jobs.start()
    await jobs.stop()


# -- several schedulers, killed on ticks -----------------------------------------------------------------------------


def look_and_die(folder: Path, tick: int, parts: int) -> None:
    """A scheduler that fires what is due at a tick, and dies once it has stored so many parts of it."""
    import asyncio

    scheduler.PART = 10
    jobs = schedule(folder, ManualClock(START + tick * HOUR))
    store: Any = jobs.provider.store
    fire = store.fire
    stored = 0

    async def dying_fire(*arguments: Any) -> Any:
        nonlocal stored
        answer = await fire(*arguments)
        stored += answer is not None
        if stored == parts:
            os.kill(os.getpid(), signal.SIGKILL)
        return answer

    store.fire = dying_fire

    async def main() -> None:
        await jobs.start(concurrency=1, queues=["none"])
        running = jobs.running
        assert running is not None
        await running.fire_due()
        await jobs.stop()

    asyncio.run(main())
    jobs.close()
    History(folder).write("looked", tick)


async def test_s24_every_tick_once_for_every_tenant_while_schedulers_are_killed(fleet: Fleet) -> None:
    clock = ManualClock(START)
    jobs = schedule(fleet.folder, clock)
    await look(jobs)
    ticks = 3
    for tick in range(1, ticks + 1):
        # Three look at the same moment; two of them die in the middle of the tick.
        crew = [fleet.run(look_and_die, tick, parts) for parts in (1, 4, 0)]
        for process in crew:
            process.join()
    assert len(fleet.history.lines("looked")) >= ticks
    clock.advance(ticks * HOUR)
    expected = [START.replace(second=0) + tick * HOUR for tick in range(1, ticks + 1)]
    found = await fired(jobs)
    assert {tenant: moments for tenant, moments in found.items() if moments != expected} == {}
    jobs.close()


async def test_s24_a_part_of_a_tick_is_stored_by_the_first_of_two_that_saw_the_same(tmp_path: Path) -> None:
    clock = ManualClock(START)
    jobs = schedule(tmp_path, clock)
    await look(jobs)
    store = jobs.provider.store
    before = await store.schedule("hourly", "UTC", "0 * * * *")
    tick = to_micros(START.replace(second=0) + HOUR)
    after = before._replace(last_at=tick, previous_at=tick)
    event = NewEvent(TENANTS[0], scheduler.TICK_EVENT, 1, f'{{"at":{tick}}}', task="hourly", tick_at=tick)
    first = await store.fire(before, after, [event])
    assert first is not None
    assert await store.fire(before, after, [event]) is None
    # Even one that forces its way makes no second run of a tick.
    again = await store.fire(after, after, [event])
    assert again is not None
    assert [stored.run_seqs for stored in again] == [stored.run_seqs for stored in first]
    assert again[0].duplicate
    jobs.close()


# -- down for six hours ----------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("misfire", "late", "hours", "missed"),
    [
        ("latest", timedelta(minutes=10), [6], [5]),
        ("all", timedelta(minutes=10), [1, 2, 3, 4, 5, 6], [0] * 6),
        ("skip", timedelta(minutes=10), [], []),
        ("skip", timedelta(seconds=30), [6], [5]),
    ],
)
async def test_s25_down_for_six_hours(
    tmp_path: Path, misfire: Misfire, late: timedelta, hours: list[int], missed: list[int]
) -> None:
    clock = ManualClock(START)
    before = schedule(tmp_path, clock, misfire=misfire)
    await look(before)
    before.close()
    clock.set(START.replace(second=0) + 6 * HOUR + late)
    after = schedule(tmp_path, clock, misfire=misfire, spread=600)
    await after.start(queues=["none"])
    assert after.running is not None
    await after.running.fire_due()
    await after.running.fire_due()
    expected = [START.replace(second=0) + hour * HOUR for hour in hours]
    assert await fired(after) == dict.fromkeys(TENANTS, expected)
    with across_tenants(reason="a test reads ticks"):
        runs = list(reversed((await after.runs.list(limit=1000)).runs))
    assert [run.payload["missed"] for run in runs if run.tenant_id == TENANTS[0]] == missed
    # The schedule goes on as if nothing had been.
    onwards = [START.replace(second=0) + hour * HOUR for hour in (7, 8)]
    # Tenants keep their distance: each its own offset, the same at every tick.
    offsets: dict[str, list[float]] = {tenant: [] for tenant in TENANTS}
    for tick in onwards:
        clock.set(tick)
        await after.running.fire_due()
        with across_tenants(reason="a test reads ticks"):
            for run in (await after.runs.list(limit=len(TENANTS))).runs:
                offsets[run.tenant_id].append(((run.due_at or tick) - tick).total_seconds())
    assert (await fired(after))[TENANTS[0]] == [*expected, *onwards]
    assert all(len(own) == 2 and own[0] == own[1] and 0 <= own[0] < 600 for own in offsets.values())
    assert len({own[0] for own in offsets.values()}) == len(TENANTS)
    await after.stop()
    after.close()


# -- the clock steps back, the schedule is edited --------------------------------------------------------------------


async def test_s26_a_clock_that_steps_back_two_hours_neither_doubles_nor_loses_a_tick(tmp_path: Path) -> None:
    clock = ManualClock(START)
    jobs = schedule(tmp_path, clock)
    await jobs.start(queues=["none"])
    assert jobs.running is not None
    for _ in range(3):
        clock.advance(HOUR)
        await jobs.running.fire_due()
    clock.advance(-2 * HOUR)
    for _ in range(5):
        await jobs.running.fire_due()
        # Another process, which remembers nothing, looks at the same clock.
        other = schedule(tmp_path, clock)
        await other.start(queues=["none"])
        assert other.running is not None
        await other.running.fire_due()
        await other.stop()
        other.close()
        clock.advance(HOUR)
    await jobs.running.fire_due()
    expected = [START.replace(second=0) + hour * HOUR for hour in range(1, 7)]
    assert await fired(jobs) == dict.fromkeys(TENANTS, expected)
    await jobs.stop()
    jobs.close()


async def half_fire(folder: Path, clock: ManualClock, monkeypatch: pytest.MonkeyPatch) -> None:
    """Store the first part of a tick, and die."""
    monkeypatch.setattr(scheduler, "PART", 50)
    jobs = schedule(folder, clock)
    store: Any = jobs.provider.store
    fire: Callable[..., Any] = store.fire

    async def failing_fire(*arguments: Any) -> Any:
        await fire(*arguments)
        raise InterruptedError

    store.fire = failing_fire
    await jobs.start(queues=["none"])
    assert jobs.running is not None
    with pytest.raises(InterruptedError):
        await jobs.running.fire_due()
    await jobs.stop()
    jobs.close()


async def test_s26_a_schedule_edited_in_the_middle_of_a_tick_ends_the_tick_and_then_follows_the_new_times(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    clock = ManualClock(START)
    jobs = schedule(tmp_path, clock)
    await look(jobs)
    jobs.close()
    clock.advance(HOUR)
    await half_fire(tmp_path, clock, monkeypatch)
    clock.advance(timedelta(minutes=20))
    edited = schedule(tmp_path, clock, "5,10,40 * * * *")
    await edited.start(queues=["none"])
    assert edited.running is not None
    await edited.running.fire_due()
    tick = START.replace(second=0) + HOUR
    assert await fired(edited) == {key: [tick] for key in TENANTS}
    clock.advance(timedelta(minutes=30))
    await edited.running.fire_due()
    assert await fired(edited) == {key: [tick, tick + timedelta(minutes=40)] for key in TENANTS}
    await edited.stop()
    edited.close()


def test_s26_processes_that_disagree_about_a_schedule_fire_it_once_and_by_the_newer_code(fleet: Fleet) -> None:
    """A rolling deployment: for some minutes old and new code run side by side."""
    fleet.run(fire_side_by_side)
    until(lambda: fleet.history.lines("fired"), "both looked at the clock")
    assert fleet.history.lines("fired") == [["fired", "0:30", "1:30", "2:30"]]


def fire_side_by_side(folder: Path) -> None:
    import asyncio

    async def main() -> None:
        clock = ManualClock(START)
        old, new = schedule(folder, clock), schedule(folder, clock, "30 * * * *")
        for jobs in (old, new):
            await jobs.start(queues=["none"])
        clock.advance(timedelta(minutes=40))
        for _ in range(3):
            for jobs in (old, new):
                assert jobs.running is not None
                await jobs.running.fire_due()
            clock.advance(timedelta(minutes=25))
            for jobs in (new, old):
                assert jobs.running is not None
                await jobs.running.fire_due()
            clock.advance(timedelta(minutes=35))
        found = (await fired(new))[TENANTS[0]]
        for jobs in (old, new):
            await jobs.stop()
            jobs.close()
        History(folder).write("fired", *(f"{moment.hour}:{moment.minute}" for moment in found))

    asyncio.run(main())
