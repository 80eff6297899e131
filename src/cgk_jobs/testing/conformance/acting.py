"""Acting on runs by hand: cancel, retry, replay."""

from __future__ import annotations

import pytest

from cgk_jobs.engine.records import NewEvent, RunKey
from cgk_jobs.engine.states import State
from cgk_jobs.testing.conformance.case import Driver, StoreCase

__all__ = ["ActingSuite"]


class ActingSuite(StoreCase):
    """``cancel``, ``cancels_asked``, ``retry``, ``replay``."""

    async def test_what_waits_is_cancelled_at_once(self, ledger: Driver) -> None:
        stored = [await ledger.send() for _ in range(3)]
        claims = {claim.seq: claim for claim in await ledger.claim()}
        due = ledger.clock.micros() + 10**9
        retrying, waiting, back = (claims[one.run_seqs[0]] for one in stored)
        await ledger.settle(retrying, "retrying", attempt=2, due_at=due)
        await ledger.settle(waiting, "waiting", due_at=due)
        await ledger.settle(back, "queued")
        scheduled = await ledger.send(delay=1_000)
        seqs = [one.run_seqs[0] for one in (*stored, scheduled)]
        assert await ledger.store.cancel([RunKey("acme", seq) for seq in seqs]) == 4
        assert await ledger.counts() == {"cancelled": 4}
        assert await ledger.store.cancel([RunKey("acme", seq) for seq in seqs]) == 0
        ledger.clock.advance(2_000)
        exchange = await ledger.look()
        assert (exchange.claims, exchange.next_due) == ([], None)
        assert (await ledger.run(scheduled)).finished_at is not None

    async def test_a_running_run_is_asked_and_its_worker_told(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        assert await ledger.store.cancels_asked(ledger.seat.id) == []
        assert await ledger.store.cancel([claim.key]) == 1
        assert await ledger.store.cancels_asked(ledger.seat.id) == [claim.seq]
        assert await ledger.state(claim) == "running"
        assert await ledger.settle(claim, "cancelled", outcome="cancelled")
        assert await ledger.state(claim) == "cancelled"
        assert await ledger.store.cancels_asked(ledger.seat.id) == []

    async def test_a_cancel_that_comes_too_late_is_forgotten(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.store.cancel([claim.key])
        assert await ledger.settle(claim, "completed", result="1")
        assert await ledger.state(claim) == "completed"
        assert await ledger.store.cancel([claim.key]) == 0

    @pytest.mark.parametrize("state", ["retrying", "waiting", "queued"])
    async def test_a_run_that_was_asked_never_goes_on(self, ledger: Driver, state: State) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.store.cancel([claim.key])
        due = None if state == "queued" else ledger.clock.micros()
        assert await ledger.settle(claim, state, due_at=due, error="ValueError: no" if state == "retrying" else None)
        run = await ledger.run(claim)
        assert (run.state, run.due_at, run.held_by) == ("cancelled", None, None)
        assert run.finished_at is not None
        assert run.error == ("ValueError: no" if state == "retrying" else "cancelled while it ran")
        ledger.clock.advance(1_000)
        assert await ledger.claim() == []
        assert await ledger.store.retry(claim.key, "default", 0)
        assert len(await ledger.claim()) == 1
        assert await ledger.store.cancels_asked(ledger.seat.id) == [], "the old question is not asked again"

    async def test_a_cancelled_run_of_a_dead_worker_is_cancelled(self, ledger: Driver) -> None:
        await ledger.send()
        seat = await ledger.store.take_seat(("default",), 1, 15.0)
        (claim,) = await ledger.claim(seat=seat)
        await ledger.store.cancel([claim.key])
        await self.bury(ledger.store, seat)
        await ledger.store.rescue(15.0)
        assert await ledger.state(claim) == "cancelled"
        await seat.leave()

    async def test_unknown_and_finished_runs_are_not_counted(self, ledger: Driver) -> None:
        await ledger.failed(await ledger.send())
        assert await ledger.store.cancel([RunKey("acme", 1), RunKey("acme", 2)]) == 0

    async def test_retry_begins_again_with_the_journal(self, ledger: Driver) -> None:
        stored = await ledger.send(expires=50.0)
        (claim,) = await ledger.claim()
        await ledger.store.record_step(claim, "paid", '"yes"')
        await ledger.settle(claim, "failed", attempt=3, error="ValueError: no", outcome="failed")
        ledger.clock.advance(100)
        seq = stored.run_seqs[0]
        assert await ledger.store.retry(RunKey("acme", seq), "default", 0)
        run = await ledger.run(stored)
        assert (run.state, run.attempt, run.error, run.finished_at) == ("queued", 1, None, None)
        assert not await ledger.store.retry(RunKey("acme", seq), "default", 0)
        (again,) = await ledger.claim()
        assert (again.seq, again.attempt, again.token) == (seq, 1, 2)
        assert await ledger.store.steps(again) == {"paid": '"yes"'}
        assert not await ledger.settle(claim)
        assert await ledger.settle(again, result="1")
        assert not await ledger.store.retry(RunKey("acme", seq), "default", 0)

    async def test_a_run_is_reached_under_its_own_tenant_only(self, ledger: Driver) -> None:
        failed = await ledger.send()
        claim = await ledger.failed(failed)
        waiting = await ledger.send()
        await ledger.store.record_step(claim, "paid", "1")
        theirs = [RunKey("rival", stored.run_seqs[0]) for stored in (failed, waiting)]
        assert await ledger.store.cancel(theirs) == 0
        assert not await ledger.store.retry(theirs[0], "default", 0)
        reads = ledger.store.reads
        assert [await reads.steps(theirs[0]), await reads.attempts(theirs[0]), await reads.log(theirs[0])] == [
            [],
            [],
            [],
        ]
        assert await reads.run("rival", failed.run_seqs[0], failed.nonce) is None
        assert [await ledger.state(one) for one in (failed, waiting)] == ["failed", "queued"]

    async def test_cancelled_and_expired_runs_are_retried_too(self, ledger: Driver) -> None:
        cancelled, expired = await ledger.send(), await ledger.send(expires=1.0)
        await ledger.store.cancel([RunKey("acme", cancelled.run_seqs[0])])
        ledger.clock.advance(1)
        assert await ledger.store.expire() == 1
        for stored in (cancelled, expired):
            assert await ledger.store.retry(RunKey("acme", stored.run_seqs[0]), "default", 0)
        assert len(await ledger.claim()) == 2

    async def test_replay_is_a_new_run_with_the_steps_before_one(self, ledger: Driver) -> None:
        stored = await ledger.send(payload='{"x":1}')
        (claim,) = await ledger.claim()
        for name in ("one", "two", "three"):
            await ledger.store.record_step(claim, name, f'"{name}"')
        await ledger.settle(claim, result="1")
        event = NewEvent("acme", "placed", 1, '{"x":1}', "sync", replay_of=claim.seq)
        whole = await ledger.store.replay(event, claim.seq, None)
        part = await ledger.store.replay(event, claim.seq, "three")
        claims = {one.seq: one for one in await ledger.claim()}
        assert await ledger.store.steps(claims[whole.run_seqs[0]]) == {}
        assert await ledger.store.steps(claims[part.run_seqs[0]]) == {"one": '"one"', "two": '"two"'}
        assert (await ledger.run(part)).replay_of == claim.seq
        assert claims[part.run_seqs[0]].payload == '{"x":1}'
        assert await ledger.state(stored) == "completed"
