"""Schedules: each tick once, and what is kept no longer than wished."""

from __future__ import annotations

from cgk_jobs.engine.records import LogLine, NewEvent, RunKey, ScheduleRecord
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase

__all__ = ["SchedulingSuite"]

EXPRESSION = "0 * * * *"


class SchedulingSuite(StoreCase):
    """``schedule``, ``fire``, ``prune``."""

    async def _row(self, ledger: Driver, expression: str = EXPRESSION, *, declare: bool = True) -> ScheduleRecord:
        return await ledger.store.schedule("sync", "UTC", expression, declare=declare)

    def _tick(self, tenant_id: str, at: int) -> NewEvent:
        return NewEvent(tenant_id, "tick", 1, "{}", "sync", tick_at=at)

    async def test_a_schedule_begins_now_and_stays(self, ledger: Driver) -> None:
        row = await self._row(ledger)
        assert row == ScheduleRecord("sync", "UTC", EXPRESSION, ledger.clock.micros())
        ledger.clock.advance(60)
        assert await self._row(ledger) == row
        paris = await ledger.store.schedule("sync", "Europe/Paris", EXPRESSION)
        assert paris.last_at == ledger.clock.micros()
        assert await ledger.store.reads.schedules() == [paris, row]

    async def test_another_expression_begins_anew_where_it_is_declared(self, ledger: Driver) -> None:
        row = await self._row(ledger)
        ledger.clock.advance(60)
        assert await self._row(ledger, "5 * * * *", declare=False) == row
        changed = await self._row(ledger, "5 * * * *")
        assert (changed.expression, changed.last_at) == ("5 * * * *", ledger.clock.micros())

    async def test_only_who_saw_the_present_row_fires(self, ledger: Driver) -> None:
        before = await self._row(ledger)
        tick = before.last_at + 3_600 * SECOND
        after = before._replace(last_at=tick, previous_at=tick)
        stored = await ledger.store.fire(before, after, [self._tick("a", tick), self._tick("b", tick)])
        assert stored is not None
        assert [len(one.run_seqs) for one in stored] == [1, 1]
        assert await ledger.store.fire(before, after, [self._tick("c", tick)]) is None
        assert await self._row(ledger) == after
        assert await ledger.counts() == {"queued": 2}
        assert (await ledger.run(stored[0])).tick_at == tick

    async def test_a_tick_is_one_run_in_each_tenant_whatever_happens(self, ledger: Driver) -> None:
        before = await self._row(ledger)
        tick = before.last_at + SECOND
        (first,) = await ledger.store.fire(before, before._replace(last_at=tick), [self._tick("a", tick)]) or []
        back = before._replace(last_at=tick)
        (again,) = await ledger.store.fire(back, before, [self._tick("a", tick)]) or []
        assert again.run_seqs == first.run_seqs
        assert again.duplicate
        (other,) = await ledger.store.insert([self._tick("b", tick)])
        assert not other.duplicate
        assert await ledger.counts() == {"queued": 2}

    async def test_a_tick_twice_in_one_part_is_one_run(self, ledger: Driver) -> None:
        before = await self._row(ledger)
        events = [self._tick("a", before.last_at)] * 2
        stored = await ledger.store.fire(before, before._replace(last_at=before.last_at + 1), events)
        assert stored is not None
        assert stored[0].run_seqs == stored[1].run_seqs
        assert await ledger.counts() == {"queued": 1}

    async def test_prune_forgets_only_what_finished_before(self, ledger: Driver) -> None:
        old = [await ledger.send(tags="t") for _ in range(5)]
        waiting = await ledger.send(delay=10**6)
        claims = await ledger.claim()
        for claim in claims:
            await ledger.store.record_step(claim, "s", "1")
            await ledger.settle(claim, "failed", outcome="failed", log=(LogLine(1, "INFO", "x"),))
        ledger.clock.advance(100)
        young = await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.settle(claim)
        before = ledger.clock.micros() - 50 * SECOND
        assert await ledger.store.prune(before, 3) == 3
        assert await ledger.store.prune(before, 3) == 2
        assert await ledger.store.prune(before, 3) == 0
        reads = ledger.store.reads
        for stored in old:
            key = RunKey("acme", stored.run_seqs[0])
            assert await reads.run(None, key.seq, stored.nonce) is None
            assert [await reads.steps(key), await reads.attempts(key), await reads.log(key)] == [[], [], []]
        assert [await ledger.state(one) for one in (waiting, young)] == ["scheduled", "completed"]

    async def test_prune_finds_what_finished_late(self, ledger: Driver) -> None:
        first, second = await ledger.send(), await ledger.send()
        (one, two) = await ledger.claim()
        await ledger.settle(two)
        ledger.clock.advance(100)
        assert await ledger.store.prune(ledger.clock.micros(), 5) == 1
        await ledger.settle(one)
        ledger.clock.advance(100)
        assert await ledger.store.prune(ledger.clock.micros(), 5) == 1
        for stored in (first, second):
            assert await ledger.store.reads.run(None, stored.run_seqs[0], stored.nonce) is None
