"""Random histories of a store, checked against a small model after every step. Needs Hypothesis.

The invariants: what was acknowledged is there in exactly one state, and ends (I1); only the present holder of a run writes
for it (I2); no limit is exceeded at any instant (I6); exactly one run of a line is ahead; nothing waits for what is there. Bind
it to a store::

    TestMyStoreHistories = store_histories(make_store, bury).TestCase
"""

from __future__ import annotations

import asyncio
import tempfile
from collections import Counter
from collections.abc import Awaitable, Callable, Coroutine
from pathlib import Path
from typing import Any, TypeVar, cast

from hypothesis import strategies as st
from hypothesis.stateful import RuleBasedStateMachine, initialize, invariant, precondition, rule

from cgk_jobs.clock import Clock
from cgk_jobs.engine.flow import ORDER_HOLD
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import Budgets, Claim, LogLine, NewEvent, Parent, RunRecord, TenantRecord
from cgk_jobs.engine.states import FINAL, State, legal
from cgk_jobs.engine.store import Store, WorkerSeat
from cgk_jobs.errors import RunCancelled
from cgk_jobs.runtime.entries import EventWait, JournalEntry, child_entry
from cgk_jobs.tasks.flow import Flow
from cgk_jobs.tasks.policy import Limit
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import SECOND, Driver, subscription

__all__ = ["StoreHistories", "store_histories"]

T = TypeVar("T")
MakeStore = Callable[[Path, Clock], Store]
Bury = Callable[[Store, WorkerSeat], None]

TENANTS = ("a", "b", "c")
PER_TENANT = 2
OVER_ALL = 4
IN_LINE = subscription("line", "line", flow=Flow(ordered_by=("k",)).stored())
ENDINGS: tuple[State, ...] = ("completed", "failed", "retrying", "waiting", "queued", "cancelled")


class StoreHistories(RuleBasedStateMachine):
    """One store object per worker, all on one ledger; ``make_store`` and ``bury`` are set by :func:`store_histories`."""

    make_store: MakeStore
    bury: Bury

    def __init__(self) -> None:
        super().__init__()
        self._folder = tempfile.TemporaryDirectory(prefix="cgk-jobs-")
        self._runner = asyncio.Runner()
        self.clock = TestClock()
        self.workers: list[Driver] = []
        self.states: dict[int, State] = {}
        self.cancelled: set[int] = set()
        """Runs somebody has asked to cancel, with all they called."""
        self.held: dict[int, Claim] = {}
        """The present claim of each run that is claimed, as the model sees it."""
        self.lost: list[Claim] = []
        """Claims that no longer hold their run."""
        self.paused: set[str] = set()
        self.calls = 0

    def do(self, work: Coroutine[Any, Any, T]) -> T:
        """Run a coroutine of the store to its end."""
        return self._runner.run(work)

    @initialize()
    def open(self) -> None:
        """Two workers, each with a store object of its own."""
        self.do(self._open())

    async def _open(self) -> None:
        for _ in range(2):
            store = type(self).make_store(Path(self._folder.name), self.clock)
            seat = await store.take_seat(("default",), 100, 15.0)
            driver = Driver(store, self.clock, seat)
            await driver.listen(subscription("sync"), subscription("free", "free"), IN_LINE)
            driver.tasks["sync"] = Budgets((Limit(PER_TENANT, per="tenant"), Limit(OVER_ALL)), ())
            self.workers.append(driver)

    def teardown(self) -> None:
        """Let everything end, and see that it does."""
        try:
            if self.workers:
                self.do(self._end_all())
        finally:
            self._runner.close()
            self._folder.cleanup()

    async def _end_all(self) -> None:
        for tenant in tuple(self.paused):
            await self.workers[0].store.put_tenant(TenantRecord(tenant, added=True))
        for claim in self.held.values():
            await self.workers[0].settle(claim)
        for tenant in TENANTS:
            await self.workers[0].send(tenant, name="hail")
        for _ in range(len(self.states) + 5):
            self.clock.advance(10_000)
            await self.workers[0].store.expire()
            for worker in self.workers:
                for claim in await worker.claim(3):
                    await worker.settle(claim)
        counts = await self.workers[0].counts()
        for worker in self.workers:
            await worker.seat.leave()
            worker.store.close()
        assert sum(counts.values()) == len(self.states), "every acknowledged run is there"
        assert set(counts) <= FINAL, f"every run ends: {counts}"

    # -- what happens ------------------------------------------------------------------------------------------------

    @rule(
        who=st.integers(0, 1), tenant=st.sampled_from(TENANTS), name=st.sampled_from(("placed", "free", "line")),
        priority=st.sampled_from((None, 0, 5)), delay=st.sampled_from((None, None, 5.0)),
        expires=st.sampled_from((None, None, 20.0)), count=st.integers(1, 4),
    )  # fmt: skip
    def send(self, who: int, tenant: str, name: str, priority: int | None, delay: float | None,
             expires: float | None, count: int) -> None:  # fmt: skip
        """A process sends some events."""
        delay = None if name == "line" else delay
        for number in range(count):
            stored = self.do(
                self.workers[who].send(
                    tenant, name, f'{{"k":{number % 2}}}', priority=priority, delay=delay, expires=expires
                )
            )
            self.states[stored.run_seqs[0]] = "queued" if delay is None else "scheduled"

    @rule(who=st.integers(0, 1), count=st.integers(1, 6))
    def claim(self, who: int, count: int) -> None:
        """A worker claims; nobody else may hold what it gets."""
        for claim in self.do(self.workers[who].claim(count)):
            assert claim.seq not in self.held, "a run is claimed by two workers"
            assert claim.tenant_id not in self.paused, "a paused tenant's run was started"
            self.held[claim.seq] = claim

    @precondition(lambda self: self.held)
    @rule(data=st.data(), who=st.integers(0, 1), ending=st.sampled_from(ENDINGS), delay=st.sampled_from((0.0, 3.0)))
    def settle(self, data: st.DataObject, who: int, ending: State, delay: float) -> None:
        """An attempt ends."""
        claim = self.held.pop(data.draw(st.sampled_from(sorted(self.held))))
        due = self.clock.micros() + round(delay * SECOND) if ending in ("retrying", "waiting") else None
        assert self.do(self.workers[who].settle(claim, ending, due_at=due)), "the holder's ending was refused"
        self.lost.append(claim)

    @precondition(lambda self: self.lost)
    @rule(data=st.data(), who=st.integers(0, 1), state=st.sampled_from(("failed", "retrying", "waiting", "queued")))
    def write_late(self, data: st.DataObject, who: int, state: State) -> None:
        """Somebody who lost its run tries every write."""
        claim = data.draw(st.sampled_from(self.lost[-20:]))
        store = self.workers[who].store
        assert not self.do(self.workers[who].settle(claim, state, error="late"))
        assert not self.do(_called(store.record_step, claim, "late", "1"))
        assert not self.do(_called(store.write_progress, claim, "{}"))
        assert not self.do(_called(store.append_log, claim, [LogLine(1, "INFO", "late")]))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), who=st.integers(0, 1), name=st.sampled_from(("one", "two", "three")))
    def write_step(self, data: st.DataObject, who: int, name: str) -> None:
        """The holder finishes a step that is new to the run."""
        claim = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        store = self.workers[who].store
        if name not in self.do(_called(store.steps, claim)):
            assert self.do(_called(store.record_step, claim, name, "1"))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), who=st.integers(0, 1), count=st.integers(1, 3), concurrency=st.sampled_from((None, 1, 2)))
    def call(self, data: st.DataObject, who: int, count: int, concurrency: int | None) -> None:
        """The holder calls others."""
        claim = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        self.calls += 1
        name = f"call-{self.calls}"
        store = self.workers[who].store
        children = [
            NewEvent(
                claim.tenant_id, "", 1, "{}", "free", nonce=claim.nonce,
                parent=Parent(claim.seq, claim.nonce, child_entry(name, index), claim.depth + 1),
            )
            for index in range(count)
        ]  # fmt: skip
        entry = JournalEntry(name, f'{{"count":{count}}}', 1_000, pending=count)
        before = self.do(_called(store.children, claim.key, after=0, count=1_000))
        try:
            assert self.do(_called(store.spawn, claim, entry, children, first=0, concurrency=concurrency))
        except RunCancelled:
            assert claim.seq in self.cancelled
            assert self.do(_called(store.children, claim.key, after=0, count=1_000)) == before
            return
        made = self.do(_called(store.children, claim.key, after=0, count=1_000))
        assert len(made) == len(before) + count
        self.states |= dict.fromkeys(set(made) - set(before), "queued")

    @precondition(lambda self: self.held)
    @rule(data=st.data(), who=st.integers(0, 1))
    def suspend(self, data: st.DataObject, who: int) -> None:
        """The holder waits for whatever it has called and asked for."""
        claim = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        pending = [entry for entry in self.do(_called(self.workers[who].store.journal, claim)) if entry.pending]
        if pending:
            assert self.do(self.workers[who].settle(claim, "waiting"))
            self.lost.append(self.held.pop(claim.seq))

    @precondition(lambda self: self.held)
    @rule(data=st.data(), who=st.integers(0, 1))
    def await_hail(self, data: st.DataObject, who: int) -> None:
        """The holder begins to wait for an event."""
        claim = self.held[data.draw(st.sampled_from(sorted(self.held)))]
        self.calls += 1
        entry = JournalEntry(f"hail-{self.calls}", "{}", 1_000, pending=1)
        answer = self.do(
            _called(self.workers[who].store.await_event, claim, entry, EventWait("hail", "", "[]", 1 << 62))
        )
        assert answer == entry

    @rule(tenant=st.sampled_from(TENANTS), who=st.integers(0, 1))
    def hail(self, tenant: str, who: int) -> None:
        """The event comes; no task listens to it."""
        assert self.do(self.workers[who].send(tenant, name="hail")).run_seqs == ()

    @precondition(lambda self: self.states)
    @rule(data=st.data(), who=st.integers(0, 1))
    def cancel(self, data: st.DataObject, who: int) -> None:
        """Somebody cancels a run."""
        seq = data.draw(st.sampled_from(sorted(self.states)))
        self.do(_called(self.workers[who].store.cancel, [self._records()[seq].key]))
        self.cancelled |= self._tree_of(seq)

    @precondition(lambda self: self.states)
    @rule(data=st.data(), who=st.integers(0, 1))
    def retry(self, data: st.DataObject, who: int) -> None:
        """Somebody retries a run by hand."""
        seq = data.draw(st.sampled_from(sorted(self.states)))
        record = self._records()[seq]
        done = self.do(_called(self.workers[who].store.retry, record.key, "default", record.lane))
        assert done == (record.state in ("failed", "cancelled", "expired"))

    @rule(tenant=st.sampled_from(TENANTS), who=st.integers(0, 1))
    def pause_or_resume(self, tenant: str, who: int) -> None:
        """A tenant is paused, or its pause ends."""
        self.paused ^= {tenant}
        record = TenantRecord(tenant, added=True, paused=tenant in self.paused)
        self.do(_called(self.workers[who].store.put_tenant, record))

    @rule(who=st.integers(0, 1))
    def kill(self, who: int) -> None:
        """A worker's process dies, the other takes its runs back, and it comes again."""
        self.do(self._kill(self.workers[who], self.workers[1 - who]))

    async def _kill(self, victim: Driver, other: Driver) -> None:
        type(self).bury(victim.store, victim.seat)
        before = {record.seq: record for record in await self._read()}
        await other.store.rescue(15.0)
        for seq, claim in tuple(self.held.items()):
            if before[seq].worker == victim.seat.id:
                self.lost.append(self.held.pop(claim.seq))
        await victim.seat.leave()
        victim.seat = await victim.store.take_seat(("default",), 100, 15.0)

    @rule(seconds=st.sampled_from((1.0, 4.0, 30.0)))
    def wait(self, seconds: float) -> None:
        """Time goes by, and who lives says so."""
        self.clock.advance(seconds)
        for worker in self.workers:
            assert self.do(_called(worker.store.beat, worker.seat.id))
        self.do(_called(self.workers[0].store.expire))

    # -- what must hold ----------------------------------------------------------------------------------------------

    async def _read(self) -> list[RunRecord]:
        return await self.workers[0].store.reads.runs(RunFilter(None), before=None, count=10_000)

    def _tree_of(self, root: int) -> set[int]:
        """A run and all that it called, however deep."""
        records, found = self._records(), {root}
        while more := {seq for seq, record in records.items() if record.parent_seq in found} - found:
            found |= more
        return found

    def _records(self) -> dict[int, RunRecord]:
        return {record.seq: record for record in self.do(self._read())}

    @invariant()
    def everything_holds(self) -> None:
        """The ledger agrees with the model, and no limit is exceeded."""
        if not self.workers:
            return
        records = self._records()
        assert set(records) == set(self.states), "every acknowledged run is there, once"
        running = [record for record in records.values() if record.state == "running"]
        assert {record.seq: record.claim for record in running} == {
            seq: claim.token for seq, claim in self.held.items()
        }, "who is running is who was claimed"
        limited = Counter(record.tenant_id for record in running if record.task == "sync")
        assert sum(limited.values()) <= OVER_ALL
        assert max(limited.values(), default=0) <= PER_TENANT
        self._nothing_stands_still(records)
        for seq, record in records.items():
            before = self.states[seq]
            assert before == record.state or _reachable(before, record.state), f"{before} became {record.state}"
            assert (record.finished_at is not None) == (record.state in FINAL)
            self.states[seq] = record.state

    def _nothing_stands_still(self, records: dict[int, RunRecord]) -> None:
        lines: dict[tuple[str, str], list[RunRecord]] = {}
        for record in records.values():
            if record.task == "line" and record.state not in FINAL:
                lines.setdefault((record.tenant_id, record.payload), []).append(record)
            if record.state == "waiting" and record.due_at is None:
                entries = self.do(_called(self.workers[0].store.reads.steps, record.key))
                assert any(entry.pending for entry in entries), f"run {record.seq} waits for what is there"
        for line in lines.values():
            ahead = [record for record in line if record.held_by != ORDER_HOLD]
            assert len(ahead) == 1, f"{len(ahead)} of {len(line)} runs are ahead in their line"


def _reachable(before: State, after: State) -> bool:
    # A single rule may take a run through one state between: due and claimed, retried and parked.
    return legal(before, after) or any(legal(before, via) and legal(via, after) for via in ("queued", "running"))


async def _called(verb: Callable[..., Awaitable[T]], *args: Any, **options: Any) -> T:
    return await verb(*args, **options)


def store_histories(make_store: MakeStore, bury: Bury) -> type[StoreHistories]:
    """The state machine of one store. ``make_store(folder, clock)`` is called once for each worker."""
    bound = {"make_store": staticmethod(make_store), "bury": staticmethod(bury)}
    return cast("type[StoreHistories]", type("BoundStoreHistories", (StoreHistories,), bound))
