"""Workers killed with kill -9 in the middle of work, and workers asked to stop (S1, and the drain)."""

from __future__ import annotations

import asyncio
import os
import signal
import sqlite3
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from tests.reliability.application import Held, Quick, Stepped, Stubborn, application
from tests.reliability.processes import LIMIT, Fleet, kill, until, until_async

from cgk_jobs import Sent, tenant_context
from cgk_jobs.engine import worker as engine_worker

POINTS = {
    # Where the process dies: how often the first and the second step's functions are called, and the attempt that ends it.
    "after the claim": (1, 1, 2),
    "handler begun": (1, 1, 2),
    "before the step is stored": (2, 1, 2),
    "after the step is stored": (1, 1, 2),
    "between steps": (1, 1, 2),
    "inside the second step": (1, 2, 2),
    "before the return": (1, 1, 2),
    "before the settlement": (1, 1, 2),
    "after the settlement": (1, 1, 1),
}


@pytest.mark.parametrize("point", POINTS)
def test_s1_a_run_killed_at_any_point_is_resumed_at_once_and_no_stored_step_runs_again(
    fleet: Fleet, point: str
) -> None:
    run = fleet.send(Stepped(tenant_id="acme"))
    # The lease is longer than the test may last: who resumes the run hasn't waited for it.
    fleet.worker(die_at=point, lease=600.0).join()
    assert [line[1:-1] for line in fleet.history.lines("died")] == [point.split(" ")]
    fleet.worker(lease=600.0)
    assert fleet.result(run) == ["one", "two"]
    ended = fleet.get(run)
    first, second, attempt = POINTS[point]
    assert len(fleet.history.lines("first")) == first
    assert len(fleet.history.lines("second")) == second
    assert ended.attempt == attempt
    assert [step.name for step in ended.steps] == ["first", "second"]
    assert [entry.outcome for entry in ended.attempts] == ["crashed"] * (attempt - 1)
    assert fleet.intact()


def test_s1_a_worker_that_runs_already_resumes_what_a_killed_one_left(fleet: Fleet) -> None:
    runs = [fleet.send(Held(tenant_id="acme", number=number)) for number in range(3)]
    victim = fleet.worker(lease=1.0)
    until(lambda: len(fleet.history.lines("held")) == 3, "three runs began")
    fleet.worker(lease=1.0)
    until(lambda: len(fleet.rows("SELECT id FROM workers")) == 2, "the second worker took its seat")
    kill(victim)
    for number in range(3):
        fleet.open(f"held-{number}-3")
    assert [fleet.result(run) for run in runs] == ["claim 3"] * 3
    assert {fleet.get(run).attempt for run in runs} == {2}


def test_s1_the_runs_of_a_dead_process_are_resumed_by_one_that_got_its_number(fleet: Fleet) -> None:
    """As in a container, whose main process is number 1 whenever it starts anew."""
    run = fleet.send(Stepped(tenant_id="acme"))
    fleet.worker(die_at="after the claim", lease=600.0).join()
    survivor = fleet.run(work_under_the_number_of_the_dead)
    assert fleet.result(run) == ["one", "two"]
    assert survivor.is_alive()


def work_under_the_number_of_the_dead(folder: Path) -> None:
    with closing(sqlite3.connect(folder / "jobs.db")) as ledger:
        ledger.execute("UPDATE workers SET pid = ?", (os.getpid(),))
        ledger.commit()
    application(folder).run(lease=600.0)


def send_until_killed(folder: Path) -> None:
    jobs = application(folder)
    number = 0
    while True:
        events = [Quick(tenant_id="acme", number=number + offset) for offset in range(3)]
        one = jobs.sync.send(events[0])
        many = jobs.sync.send_many(events[1:])
        assert isinstance(one, Sent)
        for sent in (one, *many):
            jobs.history.write("sent", sent.run_id)
        number += 3


def test_what_a_send_answered_is_there_after_kill_9(fleet: Fleet) -> None:
    sender = fleet.run(send_until_killed)
    until(lambda: len(fleet.history.lines("sent")) >= 150, "150 sends returned")
    kill(sender)
    told = {line[1] for line in fleet.history.lines("sent")}
    with tenant_context("acme"):
        there: set[str] = set()
        cursor: str | None = None
        while True:
            page = fleet.jobs.sync.runs.list(limit=1000, cursor=cursor)
            there |= {run.id for run in page}
            cursor = page.next_cursor
            if cursor is None:
                break
    assert told <= there
    assert fleet.intact()
    fleet.worker()
    until(lambda: len(fleet.history.lines("quick")) >= len(there), "all of them ran")
    assert {line[2] for line in fleet.history.lines("quick")} == there


def test_sigterm_lets_running_work_end_and_begins_nothing_new(fleet: Fleet) -> None:
    runs = [fleet.send(Held(tenant_id="acme", number=number)) for number in range(4)]
    first = fleet.worker(concurrency=2)
    until(lambda: len(fleet.history.lines("held")) == 2, "two runs began")
    assert first.pid is not None
    os.kill(first.pid, signal.SIGTERM)
    until(lambda: fleet.history.lines("stopping"), "the worker was told to stop")
    for number in range(4):
        fleet.open(f"held-{number}-1")
    first.join()
    assert first.exitcode == 0
    assert len(fleet.history.lines("held")) == 2
    assert len(fleet.history.lines("ended")) == 2
    assert sorted(fleet.get(run).state for run in runs) == ["completed", "completed", "queued", "queued"]
    assert fleet.rows("SELECT * FROM workers") == []
    fleet.worker()
    assert [fleet.result(run) for run in runs] == ["claim 1"] * 4
    assert {fleet.get(run).attempt for run in runs} == {1}


@pytest.mark.parametrize("act", ["cancel", "drain"])
async def test_a_run_that_is_ended_before_its_first_step_is_settled_all_the_same(fleet: Fleet, act: str) -> None:
    jobs = fleet.jobs
    await jobs.start()
    worker: Any = jobs.running._worker  # type: ignore[union-attr]
    begin = worker._begin

    def begin_and_end(claim: Any) -> None:
        begin(claim)
        worker._running[claim.seq].end(act)
        if act == "drain":
            worker._stopping = True

    worker._begin = begin_and_end
    sent = await jobs.send(Quick(tenant_id="acme"))
    expected = "cancelled" if act == "cancel" else "queued"
    await until_async(lambda: fleet.rows("SELECT 1 FROM runs WHERE claim = 1 AND state = ?", expected))
    await jobs.stop()
    with tenant_context("acme"):
        run = await jobs.runs.get(sent.run_id)
    assert (run.state, run.attempt) == (expected, 1)
    assert fleet.history.lines("quick") == []


async def test_a_handler_deaf_to_cancellation_does_not_keep_the_process_from_stopping(
    fleet: Fleet, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(engine_worker, "DEAF_FOR", 0.05)
    jobs = fleet.jobs
    await jobs.start()
    sent = await jobs.send(Stubborn(tenant_id="acme"))
    await until_async(lambda: fleet.history.lines("stubborn"))
    try:
        async with asyncio.timeout(LIMIT):
            await jobs.stop(grace=0)
        with tenant_context("acme"):
            run = await jobs.runs.get(sent.run_id)
    finally:
        # Nothing else ends it, this test's own loop included.
        fleet.open("stubborn-1")
    # Put back: its next claim is another one, so what the deaf handler still does is refused.
    assert (run.state, run.attempt) == ("retrying", 1)
    await until_async(lambda: len(fleet.history.lines("refused")) == 60)
    assert not fleet.history.lines("accepted")


async def test_what_does_not_end_within_the_grace_is_put_back_without_spending_an_attempt(fleet: Fleet) -> None:
    jobs = fleet.jobs
    await jobs.start(concurrency=2)
    sent = [await jobs.send(Held(tenant_id="acme", number=number)) for number in range(2)]
    await until_async(lambda: len(fleet.history.lines("held")) == 2)
    await jobs.stop(grace=0)
    with tenant_context("acme"):
        runs = [await jobs.runs.get(one.run_id) for one in sent]
        assert [(run.state, run.attempt, run.attempts) for run in runs] == [("queued", 1, ())] * 2
        for number in range(2):
            fleet.open(f"held-{number}-2")
        await jobs.start()
        assert [await jobs.runs.wait(one.run_id, LIMIT) for one in sent] == ["claim 2"] * 2
        assert [(await jobs.runs.get(one.run_id)).attempt for one in sent] == [1, 1]
    await jobs.stop()
