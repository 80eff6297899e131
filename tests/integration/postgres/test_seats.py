"""Workers' leases: renewed by a process beside the worker's, over when that process knows the worker has ended."""

from __future__ import annotations

import asyncio
import os
import signal
import subprocess
import sys
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path

import psycopg
import pytest
from tests.servers.postgres import LedgerDatabase

from cgk_jobs.clock import ManualClock, SystemClock
from cgk_jobs.engine.postgres.heart import Heart
from cgk_jobs.engine.postgres.heartbeat import is_stopped
from cgk_jobs.engine.postgres.store import PostgresStore
from cgk_jobs.engine.records import Appetite, NewEvent, RunRecord, Stored, Subscription
from cgk_jobs.testing.clock import START

_SCRIPT = Path(__file__).with_name("beating.py")
APPETITE = Appetite(("default",), 5, {"sync": None})
HOURS = 36_000.0
SHORT = 0.6
"""Seconds of a lease that a test waits for."""


class Beating:
    """A worker's process that holds one run."""

    def __init__(self, process: subprocess.Popen[bytes], url: str) -> None:
        self.process = process
        self._url = url
        self.worker = 0
        self.pid = 0
        self.stored = Stored(0, 0, ())

    def say(self, line: str) -> None:
        assert self.process.stdin is not None
        self.process.stdin.write(line.encode() + b"\n")
        self.process.stdin.flush()

    async def hear(self) -> list[str]:
        assert self.process.stdout is not None
        return (await asyncio.to_thread(self.process.stdout.readline)).decode().split()

    def ask(self, question: str) -> int:
        with psycopg.connect(self._url, autocommit=True) as connection:
            row = connection.execute(question, (self.worker,)).fetchone()  # pyright: ignore[reportArgumentType]
            return 0 if row is None else int(row[0])

    def end(self) -> None:
        self.process.kill()
        self.process.wait()
        for pipe in (self.process.stdin, self.process.stdout):
            if pipe is not None:
                pipe.close()

    def beat_at(self) -> int:
        return self.ask("SELECT beat_at FROM cgk_jobs.workers WHERE id = %s")


Start = Callable[[float, str], Awaitable[Beating]]


async def until(condition: Callable[[], bool | Awaitable[bool]]) -> None:
    """Wait for what other processes do."""
    async with asyncio.timeout(40):
        while True:
            answer = condition()
            if answer if isinstance(answer, bool) else await answer:
                return
            await asyncio.sleep(0.01)


@pytest.fixture
async def store(postgres_database: LedgerDatabase) -> AsyncIterator[PostgresStore]:
    store = PostgresStore(postgres_database.worker_url, SystemClock())
    await store.subscribe([Subscription("sync", "placed", "default", 0, 0, None, "")])
    yield store
    store.close()


@pytest.fixture
async def start(store: PostgresStore, postgres_database: LedgerDatabase) -> AsyncIterator[Start]:
    started: list[Beating] = []

    async def begin(lease: float, act: str) -> Beating:
        (stored,) = await store.insert([NewEvent("acme", "placed", 1, "{}")])
        command = [sys.executable, str(_SCRIPT), str(lease), act]
        process = await asyncio.to_thread(subprocess.Popen, command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        beating = Beating(process, postgres_database.admin_url)
        started.append(beating)
        beating.stored = stored
        beating.say(postgres_database.worker_url)
        beating.worker, beating.pid = map(int, await beating.hear())
        assert (await run_of(store, stored)).worker == beating.worker
        return beating

    yield begin
    for beating in started:
        beating.end()


async def run_of(store: PostgresStore, stored: Stored) -> RunRecord:
    run = await store.reads.run("acme", stored.run_seqs[0], stored.nonce)
    assert run is not None
    return run


async def renewed(beating: Beating) -> None:
    """Its heartbeat process is at work."""
    first = beating.beat_at()
    await until(lambda: beating.beat_at() > first)


async def rescued(store: PostgresStore) -> bool:
    return await store.rescue(15.0) == 1


async def test_a_killed_workers_runs_are_free_at_once(store: PostgresStore, start: Start) -> None:
    beating = await start(HOURS, "wait")
    await renewed(beating)
    assert await store.rescue(15.0) == 0
    beating.process.kill()
    # Its lease would have lasted for hours.
    await until(lambda: rescued(store))
    run = await run_of(store, beating.stored)
    assert (run.state, run.attempt, run.worker) == ("retrying", 2, None)
    (attempt,) = await store.reads.attempts(run.key)
    assert attempt.outcome == "crashed"


async def test_a_child_that_outlives_the_worker_keeps_no_lease(store: PostgresStore, start: Start) -> None:
    beating = await start(HOURS, "fork")
    await renewed(beating)
    beating.process.kill()
    await until(lambda: rescued(store))
    os.kill(beating.pid, 0)  # the child, with the pipe to the heartbeat open, is still there
    os.kill(beating.pid, signal.SIGKILL)


async def test_a_stopped_workers_runs_go_to_others_when_its_lease_is_over(store: PostgresStore, start: Start) -> None:
    beating = await start(SHORT, "wait")
    await renewed(beating)
    os.kill(beating.pid, signal.SIGSTOP)
    await until(lambda: is_stopped(beating.pid))
    await until(lambda: rescued(store))
    os.kill(beating.pid, signal.SIGCONT)
    beating.say("")
    # Back from the dead, it learns that it was given up, and leaving takes nothing from those who have its runs now.
    assert await beating.hear() == ["given", "up"]
    assert await beating.hear() == ["left"]
    assert (await run_of(store, beating.stored)).attempt == 2


async def test_a_handler_that_holds_the_interpreter_keeps_its_lease(store: PostgresStore, start: Start) -> None:
    beating = await start(SHORT, "hold")
    assert await beating.hear() == ["holding"]
    began = beating.beat_at()
    while beating.beat_at() < began + 3 * SHORT * 1_000_000:
        assert await store.rescue(15.0) == 0
        await asyncio.sleep(0.01)
    assert (await run_of(store, beating.stored)).worker == beating.worker
    beating.say("")
    assert await beating.hear() == ["left"]


async def test_leaving_ends_the_heartbeat_and_spends_no_attempt(
    store: PostgresStore, start: Start, postgres_database: LedgerDatabase
) -> None:
    beating = await start(HOURS, "leave")
    await renewed(beating)
    (heartbeat,) = children_of(beating.pid)
    beating.say("")
    assert await beating.hear() == ["left"]
    assert children_of(beating.pid) == []
    assert not Path(f"/proc/{heartbeat}").exists()
    run = await run_of(store, beating.stored)
    assert (run.state, run.attempt) == ("retrying", 1)


async def test_the_heartbeat_ignores_what_is_meant_for_the_worker(start: Start) -> None:
    beating = await start(HOURS, "wait")
    await renewed(beating)
    (heartbeat,) = children_of(beating.pid)
    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        os.kill(heartbeat, number)
    assert os.getsid(heartbeat) == heartbeat, "an interrupt at the terminal does not reach it"
    beating.say("")
    assert await beating.hear() == ["alive"]
    assert await beating.hear() == ["left"]


async def test_a_heartbeat_that_was_killed_is_replaced(store: PostgresStore) -> None:
    seat = await store.take_seat(("default",), 5, HOURS)
    try:
        (first,) = heartbeats_of(store)
        os.kill(first, signal.SIGKILL)
        await until(lambda: Path(f"/proc/{first}/stat").read_text().rpartition(")")[2].split()[0] == "Z")
        assert await store.beat(seat.id)
        (second,) = heartbeats_of(store)
        assert second != first
    finally:
        await seat.leave()
    assert heartbeats_of(store) == []


async def test_one_small_process_for_all_seats(store: PostgresStore) -> None:
    seats = [await store.take_seat(("default",), 5, HOURS) for _ in range(3)]
    (heartbeat,) = heartbeats_of(store)
    beaten = {row.id: row.beat_at for row in await store.reads.workers()}

    async def all_renewed() -> bool:
        return all(row.beat_at > beaten[row.id] for row in await store.reads.workers())

    await until(all_renewed)
    status = dict(line.split(":", 1) for line in Path(f"/proc/{heartbeat}/status").read_text().splitlines())
    assert int(status["VmRSS"].split()[0]) < 35_000, status["VmRSS"]
    for seat in seats:
        await seat.leave()
    assert heartbeats_of(store) == []


async def test_a_clock_that_a_test_moves_has_no_process(postgres_database: LedgerDatabase) -> None:
    clock = ManualClock(START)
    store = PostgresStore(postgres_database.worker_url, clock)
    seat = await store.take_seat(("default",), 5, 15.0)
    assert heartbeats_of(store) == []
    clock.advance(10)
    assert await store.beat(seat.id)
    clock.advance(10)
    await store.rescue(15.0)
    assert await store.beat(seat.id)
    clock.advance(16)
    await store.rescue(15.0)
    assert not await store.beat(seat.id)
    await seat.leave()
    store.close()


async def test_runs_without_a_registered_worker_are_found(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    # As a claim leaves them that was under way while its worker was given up.
    seat = await store.take_seat(("default",), 5, HOURS)
    (stored,) = await store.insert([NewEvent("acme", "placed", 1, "{}")])
    await store.exchange(seat.id, [], APPETITE)
    with psycopg.connect(postgres_database.admin_url) as connection:
        connection.execute("DELETE FROM cgk_jobs.workers")
    assert await store.rescue(15.0) == 1
    assert await store.rescue(15.0) == 0
    assert (await run_of(store, stored)).attempt == 2
    await seat.leave()


async def test_two_rescuers_rescue_once(store: PostgresStore, postgres_database: LedgerDatabase) -> None:
    other = PostgresStore(postgres_database.worker_url, SystemClock())
    for _ in range(5):
        seat = await store.take_seat(("default",), 5, HOURS)
        await store.insert([NewEvent("acme", "placed", 1, "{}")])
        (claim,) = (await store.exchange(seat.id, [], APPETITE)).claims
        with psycopg.connect(postgres_database.admin_url) as connection:
            connection.execute("UPDATE cgk_jobs.workers SET lease_until = 0")
        assert sum(await asyncio.gather(*[one.rescue(15.0) for one in (store, other, store, other)])) == 1
        assert len(await store.reads.attempts(claim.key)) == 1
        await seat.leave()
        await store.cancel([claim.key])
    other.close()


async def test_a_step_under_way_while_its_run_is_rescued_is_not_written(
    store: PostgresStore, postgres_database: LedgerDatabase
) -> None:
    seat = await store.take_seat(("default",), 5, HOURS)
    await store.insert([NewEvent("acme", "placed", 1, "{}")])
    (claim,) = (await store.exchange(seat.id, [], APPETITE)).claims
    with psycopg.connect(postgres_database.admin_url) as rescuer:
        rescuer.execute("UPDATE cgk_jobs.runs SET claim = claim + 1, state = 'retrying', worker = NULL")
        step = asyncio.ensure_future(store.record_step(claim, "paid", "1"))
        progress = asyncio.ensure_future(store.write_progress(claim, "1"))
        await until(lambda: waiting_for_locks(postgres_database) == 2)
        rescuer.commit()
    assert [await step, await progress] == [False, False]
    assert await store.steps(claim) == {}
    await seat.leave()


def waiting_for_locks(database: LedgerDatabase) -> int:
    with psycopg.connect(database.admin_url) as connection:
        row = connection.execute(
            "SELECT count(*) FROM pg_stat_activity WHERE wait_event_type = 'Lock' AND datname = current_database()"
        ).fetchone()
        assert row is not None
        return int(row[0])


def children_of(pid: int) -> list[int]:
    return [
        int(child) for task in Path(f"/proc/{pid}/task").iterdir() for child in (task / "children").read_text().split()
    ]


def heartbeats_of(store: PostgresStore) -> list[int]:
    """The heartbeat process of a store in this process, if it has one."""
    heart = store._seats._heart
    assert isinstance(heart, Heart)
    process = heart._process
    return [] if process is None else [process.pid]


def test_a_heartbeat_that_gets_no_order_ends() -> None:
    """Its parent died before it said who it is, and a child of that has the pipe open."""
    program = (
        "from cgk_jobs.engine.postgres import heartbeat; heartbeat._FIRST_ORDER_WITHIN = 0.01; "
        "heartbeat.main(); print('ended')"
    )
    with subprocess.Popen([sys.executable, "-c", program], stdin=subprocess.PIPE, stdout=subprocess.PIPE) as process:
        assert process.stdout is not None
        assert process.stdout.readline() == b"ended\n"
        process.kill()
