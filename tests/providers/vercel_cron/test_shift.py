"""Calls that overlap: one works at a time, and nothing that was committed before any of them is left lying."""

from __future__ import annotations

import asyncio
from collections.abc import Mapping

import pytest

from cgk_jobs.providers.vercel_cron.shift import Shift
from cgk_jobs.wire.leases import LeasesHere


class Runs:
    """Runs that wait: a drain takes what is there, once it is let."""

    def __init__(self, ready: int = 0) -> None:
        self.ready, self.done, self.rings, self.looks = ready, 0, 0, 0
        self.at_work = self.most = 0
        self.begun, self.let = asyncio.Event(), asyncio.Event()
        self.let.set()
        self.due: list[int] = []
        self.trouble: Exception | None = None

    async def drain(self, seconds: float) -> Mapping[str, int]:
        if seconds == 0:
            return {"runs": 0, "left": self.ready, "next_ms": -1}
        self.looks += 1
        self.at_work += 1
        self.most = max(self.most, self.at_work)
        taken, self.ready = self.ready, 0
        self.begun.set()
        try:
            await self.let.wait()
            if self.trouble is not None:
                raise self.trouble
        finally:
            self.at_work -= 1
        self.done += taken
        return {"runs": taken, "left": self.ready, "next_ms": self.due.pop(0) if self.due else -1}

    async def ring(self) -> None:
        self.rings += 1


def shift(runs: Runs, leases: LeasesHere, **options: float | None) -> Shift:
    usual: dict[str, float | None] = {"budget": 20.0, "longest": 60.0, "linger": 5.0}
    return Shift(leases, "shop", runs.drain, runs.ring, **{**usual, **options})  # type: ignore[arg-type]


async def test_one_call_works_it_off() -> None:
    runs = Runs(ready=3)
    assert await shift(runs, LeasesHere()).work() == {"runs": 3, "left": 0, "overlap": 0}
    assert (runs.done, runs.rings) == (3, 0)


async def test_a_call_that_comes_meanwhile_leaves_its_work_to_the_one_before() -> None:
    """Of another process: all they share is the ledger."""
    leases, runs = LeasesHere(), Runs(ready=1)
    runs.let.clear()
    first = asyncio.create_task(shift(runs, leases).work())
    await runs.begun.wait()
    runs.ready = 2  # committed after the first has looked
    assert (await shift(runs, leases).work())["overlap"] == 1
    runs.let.set()
    assert (await first)["runs"] == 3
    assert (runs.done, runs.most) == (3, 1)


async def test_a_call_that_fails_lets_the_next_one_work() -> None:
    leases, runs = LeasesHere(), Runs(ready=1)
    runs.trouble = RuntimeError("unforeseen")
    with pytest.raises(RuntimeError):
        await shift(runs, leases).work()
    runs.trouble, runs.ready = None, 2
    assert (await shift(runs, leases).work())["runs"] == 2


async def test_what_is_due_soon_is_waited_for() -> None:
    runs = Runs(ready=1)
    runs.due = [50, 60, -1]
    await shift(runs, LeasesHere()).work()
    assert runs.due == []


@pytest.mark.parametrize(("linger", "looks"), [(0.1, 2), (None, 3)])
async def test_where_calls_are_rare_also_what_is_due_later_is_waited_for(linger: float | None, looks: int) -> None:
    runs = Runs(ready=1)
    runs.due = [30, 300]
    await shift(runs, LeasesHere(), linger=linger).work()
    assert runs.looks == looks


async def test_a_send_of_this_process_wakes_the_call_that_waits() -> None:
    runs = Runs(ready=1)
    runs.due = [4_000]
    at_work = shift(runs, LeasesHere())
    assert not at_work.ask(), "nobody is at work yet"
    call = asyncio.create_task(at_work.work())
    await runs.begun.wait()
    runs.begun.clear()
    runs.ready = 1
    assert at_work.ask()
    assert (await call)["runs"] == 2


async def test_runs_that_are_due_and_can_t_be_claimed_end_the_call() -> None:
    runs = Runs()
    runs.due = [0] * 50
    await shift(runs, LeasesHere()).work()
    assert len(runs.due) > 40
