"""The table of transitions is the truth: what the ledger does is in it, and nothing is in it that never happens."""

from __future__ import annotations

import sqlite3
from collections.abc import AsyncIterator
from pathlib import Path

import pytest
from tests.conformance.test_sqlite_store import bury_sqlite_worker

from cgk_jobs import Context, Event, Retry
from cgk_jobs.engine.records import RunKey
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.engine.states import ALL_STATES, TRANSITIONS
from cgk_jobs.testing import JobsHarness, TestClock
from cgk_jobs.testing.conformance import Driver, subscription

LEGAL = {(before, after) for before, row in TRANSITIONS.items() for after in row}


class Placed(Event, name="transitions.placed"):
    how: str


class Recorder:
    """Notes every change of a run's state, by a trigger in the ledger itself."""

    def __init__(self, path: Path) -> None:
        self._db = sqlite3.connect(path, isolation_level=None, timeout=10)
        self._db.execute("CREATE TABLE observed (before TEXT NOT NULL, after TEXT NOT NULL)")
        self._db.execute(
            "CREATE TRIGGER observe AFTER UPDATE OF state ON runs WHEN old.state <> new.state "
            "BEGIN INSERT INTO observed VALUES (old.state, new.state); END"
        )
        self._db.execute(
            "CREATE TRIGGER observe_first AFTER INSERT ON runs BEGIN INSERT INTO observed VALUES ('', new.state); END"
        )

    def close(self) -> tuple[set[tuple[str, str]], set[str]]:
        """The changes, and the states runs began in."""
        rows = {(before, after) for before, after in self._db.execute("SELECT before, after FROM observed")}
        self._db.close()
        return {row for row in rows if row[0]}, {after for before, after in rows if not before}


@pytest.fixture
async def ledger(tmp_path: Path) -> AsyncIterator[Driver]:
    clock = TestClock()
    store = SqliteStore(tmp_path / "jobs.db", clock)
    driver = Driver(store, clock, await store.take_seat(("default",), 100, 15.0))
    await driver.listen(subscription("sync"))
    yield driver
    await driver.seat.leave()
    store.close()


def test_every_state_has_its_row() -> None:
    assert set(TRANSITIONS) == set(ALL_STATES)
    assert {after for row in TRANSITIONS.values() for after in row} <= set(ALL_STATES)


async def test_the_ledger_takes_every_transition_of_the_table_and_no_other(ledger: Driver, tmp_path: Path) -> None:
    recorder = Recorder(tmp_path / "jobs.db")
    store = ledger.store
    for state in ("completed", "failed", "retrying", "waiting", "queued", "cancelled"):
        for _ in range(2):
            await ledger.send()
            (claim,) = await ledger.claim()
            due = ledger.clock.micros() + 1_000_000 if state in ("retrying", "waiting") else None
            assert await ledger.settle(claim, state, due_at=due)
            if state in ("retrying", "waiting", "queued"):
                await store.cancel([claim.key])
            else:
                await store.retry(claim.key, "default", 0)
                for again in await ledger.claim():
                    await ledger.settle(again)
    for _ in range(2):
        late = await ledger.send(delay=5)
        await store.cancel([RunKey("acme", late.run_seqs[0])])
    await ledger.send(delay=5)
    await ledger.send(delay=1, expires=1.0)
    await ledger.send(expires=1.0)
    ledger.clock.advance(3)
    assert await store.expire() == 2
    for stored in [await ledger.send(expires=1.0) for _ in range(1)]:
        ledger.clock.advance(1)
        await store.expire()
        assert await store.retry(RunKey("acme", stored.run_seqs[0]), "default", 0)
    ledger.clock.advance(2)
    for claim in await ledger.claim():
        await ledger.settle(claim, "retrying", due_at=ledger.clock.micros())
    for claim in await ledger.claim():
        await ledger.settle(claim, "waiting", due_at=ledger.clock.micros())
    for claim in await ledger.claim():
        await ledger.settle(claim)
    seat = await store.take_seat(("default",), 5, 15.0)
    await ledger.send(expires=1.0)
    await ledger.claim(seat=seat)
    bury_sqlite_worker(store, seat)
    assert await store.rescue(15.0) == 1
    ledger.clock.advance(1)
    await store.expire()
    await seat.leave()
    taken, first = recorder.close()
    assert taken - LEGAL == set(), "taken, and not in engine/states.py"
    assert LEGAL - taken == set(), "in engine/states.py, and never taken"
    assert first == {"queued", "scheduled"}


async def test_a_working_application_takes_only_legal_transitions(jobs_harness: JobsHarness) -> None:
    jobs = jobs_harness.jobs

    @jobs.task(on=Placed, retry=Retry(max_attempts=2, initial=5), timeout=0.05)
    async def handler(event: Placed, ctx: Context) -> None:
        if event.how == "sleep":
            await ctx.sleep(10)
        if event.how == "fail":
            raise ValueError
        if event.how == "crash":
            await ctx.step("one", lambda: 1)

    await jobs_harness.drain()
    recorder = Recorder(jobs_harness.folder / "jobs.db")
    jobs_harness.crash_at_step(handler, 1)
    for how in ("sleep", "fail", "crash", "fine"):
        await jobs.send(Placed(tenant_id="acme", how=how))
        await jobs.send(Placed(tenant_id="acme", how=how), delay=3)
    await jobs_harness.drain(with_scheduled=True)
    taken, _ = recorder.close()
    assert taken - LEGAL == set()
    assert ("waiting", "queued") in taken
    assert ("retrying", "queued") in taken
