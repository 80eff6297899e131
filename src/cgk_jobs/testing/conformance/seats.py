"""Workers: seats, proof of life, and what becomes of a dead one's runs."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path

from cgk_jobs.engine.records import LogLine, NewEvent, RunKey
from cgk_jobs.testing.clock import TestClock
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription

__all__ = ["SeatsSuite"]


class _Heard:
    """Notes the hints of a store."""

    def __init__(self) -> None:
        self.made_ready = 0
        self.ended: list[int] = []

    def ready(self) -> bool:
        self.made_ready += 1
        return True

    def finished(self, seqs: Sequence[int]) -> None:
        self.ended += seqs


class SeatsSuite(StoreCase):
    """``take_seat``, ``beat``, ``rescue``, hints, and two stores on one ledger."""

    async def test_a_dead_workers_runs_go_to_others_and_spend_an_attempt(self, ledger: Driver) -> None:
        seat = await ledger.store.take_seat(("default",), 5, 15.0)
        await ledger.send()
        await ledger.send()
        (old,) = await ledger.claim(1, seat=seat)
        (mine,) = await ledger.claim(1)
        await ledger.store.record_step(old, "paid", "1")
        assert await ledger.store.rescue(15.0) == 0, "both workers live"
        await self.bury(ledger.store, seat)
        assert await ledger.store.rescue(15.0) == 1
        assert not await ledger.store.beat(seat.id)
        assert await ledger.store.beat(ledger.seat.id)
        assert not await ledger.settle(old)
        assert not await ledger.store.record_step(old, "late", None)
        assert not await ledger.store.append_log(old, [LogLine(1, "INFO", "late")])
        (new,) = await ledger.claim()
        assert (new.seq, new.attempt) == (old.seq, 2)
        assert new.token > old.token
        assert await ledger.store.steps(new) == {"paid": "1"}
        (attempt,) = await ledger.store.reads.attempts(old.key)
        assert (attempt.attempt, attempt.outcome) == (1, "crashed")
        assert await ledger.settle(mine)
        assert [worker.id for worker in await ledger.store.reads.workers()] == [ledger.seat.id]
        await seat.leave()

    async def test_a_worker_given_up_gets_no_runs(self, ledger: Driver) -> None:
        seat = await ledger.store.take_seat(("default",), 5, 15.0)
        await self.bury(ledger.store, seat)
        await ledger.store.rescue(15.0)
        await ledger.send()
        assert await ledger.claim(seat=seat) == []
        assert len(await ledger.claim()) == 1
        await seat.leave()

    async def test_leaving_puts_runs_back_unspent(self, ledger: Driver) -> None:
        seat = await ledger.store.take_seat(("default",), 5, 15.0)
        await ledger.send()
        (old,) = await ledger.claim(seat=seat)
        await seat.leave()
        assert not await ledger.settle(old)
        (new,) = await ledger.claim()
        assert (new.seq, new.attempt) == (old.seq, 1)
        assert await ledger.store.reads.attempts(old.key) == []

    async def test_seats_are_never_given_twice(self, ledger: Driver) -> None:
        first = await ledger.store.take_seat(("default",), 5, 15.0)
        await first.leave()
        second = await ledger.store.take_seat(("default",), 5, 15.0)
        assert len({first.id, second.id, ledger.seat.id}) == 3
        await second.leave()

    async def test_hints_tell_of_ready_and_ended_runs(self, ledger: Driver) -> None:
        heard = _Heard()
        stop = ledger.store.listen(heard)
        await ledger.send()
        assert heard.made_ready == 1
        (claim,) = await ledger.claim()
        await ledger.settle(claim)
        late = await ledger.send(delay=60)
        await ledger.store.cancel([RunKey("acme", late.run_seqs[0])])
        assert heard.ended == [claim.seq, late.run_seqs[0]]
        stop()
        await ledger.send()
        assert heard.made_ready == 2

    async def test_two_stores_share_one_ledger(self, ledger: Driver, tmp_path: Path, clock: TestClock) -> None:
        other = self.make_store(tmp_path, clock)
        seat = await other.take_seat(("default",), 5, 15.0)
        second = Driver(other, clock, seat)
        second.tasks = dict(ledger.tasks)
        numbers: list[int] = []
        for _ in range(10):
            for driver in (ledger, second):
                stored = await driver.send()
                numbers += [stored.event_seq, *stored.run_seqs]
        assert numbers == sorted(set(numbers)), "numbers rise across stores"
        claims = [claim for _ in range(5) for driver in (ledger, second) for claim in await driver.claim(2)]
        assert len({claim.seq for claim in claims}) == len(claims) == 20
        assert all([await second.settle(claim) for claim in claims])
        assert await ledger.counts() == {"completed": 20}
        await seat.leave()
        other.close()

    async def test_what_one_store_changes_the_other_heeds(
        self, ledger: Driver, tmp_path: Path, clock: TestClock
    ) -> None:
        other = self.make_store(tmp_path, clock)
        await other.subscribe([subscription("mail", "mailed")])
        assert len((await ledger.send(name="mailed")).run_seqs) == 1
        await ledger.send()
        await other.pause("queue", "default")
        assert await ledger.claim() == []
        await other.resume("queue", "default")
        until = clock.micros() + 10**9
        (first,) = await other.insert([NewEvent("acme", "placed", 1, "{}", key="k", key_until=until)])
        assert await ledger.send(key="k", key_until=until) == first._replace(duplicate=True)
        await other.insert([NewEvent("acme", "placed", 1, "{}", due_at=clock.micros() + 5)])
        assert (await ledger.look()).next_due == clock.micros() + 5
        other.close()

    async def test_a_closed_store_opens_again(self, ledger: Driver) -> None:
        stored = await ledger.send()
        ledger.store.close()
        assert await ledger.state(stored) == "queued"
        assert len((await ledger.send()).run_seqs) == 1
