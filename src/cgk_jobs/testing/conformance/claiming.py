"""Claiming and settling: who gets a run, and that nobody else may write for it."""

from __future__ import annotations

from cgk_jobs.engine.records import Claim, LogLine, Settlement
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["ClaimingSuite"]


class ClaimingSuite(StoreCase):
    """``exchange`` and every write of an attempt."""

    async def test_a_claim_carries_the_run(self, ledger: Driver) -> None:
        stored = await ledger.send("acme", payload='{"x":1}', tags="a,b", priority=3)
        (claim,) = await ledger.claim()
        assert claim[:5] == (stored.run_seqs[0], stored.nonce, 1, "acme", "sync")
        assert (claim.event_name, claim.event_version, claim.payload, claim.tags) == ("placed", 1, '{"x":1}', "a,b")
        assert (claim.attempt, claim.event_seq, claim.lane) == (1, stored.event_seq, 3)
        run = await ledger.run(claim)
        assert (run.state, run.claim, run.worker, run.started_at) == (
            "running", 1, ledger.seat.id, ledger.clock.micros(),
        )  # fmt: skip
        assert await ledger.claim() == []

    async def test_no_more_than_asked_for_and_more_is_said(self, ledger: Driver) -> None:
        for _ in range(5):
            await ledger.send()
        exchange = await ledger.look(3)
        assert (len(exchange.claims), exchange.more) == (3, True)
        assert len((await ledger.look(3)).claims) == 2
        assert (await ledger.store.exchange(ledger.seat.id, [], None)).claims == []

    async def test_queues_are_served_in_the_order_asked(self, ledger: Driver) -> None:
        await ledger.listen(subscription("slow", "slow", queue="slow"), subscription("fast", "fast", queue="fast"))
        for name in ("slow", "placed", "fast"):
            await ledger.send(name=name)
        claims = await ledger.claim(2, queues=("fast", "slow"))
        assert [claim.task for claim in claims] == ["fast", "slow"]
        assert await ledger.claim(queues=("fast", "slow")) == []

    async def test_endings_are_written(self, ledger: Driver) -> None:
        for _ in range(5):
            await ledger.send()
        claims = await ledger.claim()
        due = ledger.clock.micros() + 60 * SECOND
        ledger.clock.advance(1)
        endings = [
            Settlement(claims[0], "completed", 1, result='"done"'),
            Settlement(claims[1], "failed", 1, error="ValueError: no", outcome="failed"),
            Settlement(claims[2], "retrying", 2, error="ValueError: no", due_at=due, outcome="failed"),
            Settlement(claims[3], "waiting", 1, due_at=due),
            Settlement(claims[4], "queued", 1),
        ]
        exchange = await ledger.store.exchange(ledger.seat.id, endings, None)
        assert exchange.stale == []
        runs = [await ledger.run(claim) for claim in claims]
        assert [run.state for run in runs] == [item.state for item in endings]
        now = ledger.clock.micros()
        assert [run.finished_at for run in runs] == [now, now, None, None, None]
        assert [run.due_at for run in runs] == [None, None, due, due, None]
        assert [run.worker for run in runs] == [None] * 5
        assert (runs[0].result, runs[0].error, runs[1].error, runs[2].attempt) == ('"done"', None, "ValueError: no", 2)
        assert [len(await ledger.store.reads.attempts(run.key)) for run in runs] == [0, 1, 1, 0, 0]
        (again,) = await ledger.claim()
        assert (again.seq, again.token, again.attempt) == (claims[4].seq, 2, 1)
        ledger.clock.advance(60)
        assert sorted((claim.seq, claim.token, claim.attempt) for claim in await ledger.claim()) == [
            (claims[2].seq, 2, 2),
            (claims[3].seq, 2, 1),
        ]

    async def test_a_run_finished_keeps_its_first_start(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        started = ledger.clock.micros()
        ledger.clock.advance(5)
        await ledger.settle(claim, "queued")
        (claim,) = await ledger.claim()
        assert (await ledger.run(claim)).started_at == started

    async def _two_claims(self, ledger: Driver) -> tuple[Claim, Claim]:
        await ledger.send()
        (old,) = await ledger.claim()
        await ledger.settle(old, "queued")
        (new,) = await ledger.claim()
        assert (new.seq, new.token) == (old.seq, old.token + 1)
        return old, new

    async def test_a_stale_claim_writes_nothing(self, ledger: Driver) -> None:
        old, new = await self._two_claims(ledger)
        store = ledger.store
        assert not await store.record_step(old, "step", '"old"')
        assert not await store.write_progress(old, '{"fraction":1}')
        assert not await store.append_log(old, [LogLine(1, "INFO", "old")])
        for state in ("completed", "failed", "retrying", "waiting", "queued", "cancelled"):
            assert not await ledger.settle(old, state, log=(LogLine(1, "INFO", "old"),), outcome="failed")
        run = await ledger.run(new)
        assert (run.state, run.claim, run.progress, run.error, run.result) == ("running", new.token, None, None, None)
        assert await store.steps(new) == {}
        assert await store.reads.log(new.key) == []
        assert await store.reads.attempts(new.key) == []
        assert await ledger.settle(new, result="1")

    async def test_a_finished_run_takes_no_more_writes(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        assert await ledger.settle(claim, result='"first"')
        await ledger.settle(claim, result='"second"')  # said again, as after a lost answer: harmless, changes nothing
        assert not await ledger.settle(claim, "failed", error="late")
        assert not await ledger.store.record_step(claim, "late", None)
        assert not await ledger.store.write_progress(claim, "{}")
        assert not await ledger.store.append_log(claim, [LogLine(1, "INFO", "late")])
        run = await ledger.run(claim)
        assert (run.state, run.result, run.error) == ("completed", '"first"', None)

    async def test_stale_settlements_do_not_hinder_the_others(self, ledger: Driver) -> None:
        old, new = await self._two_claims(ledger)
        await ledger.send()
        (other,) = await ledger.claim()
        endings = [Settlement(claim, "completed", 1, result="1") for claim in (old, other)]
        assert (await ledger.store.exchange(ledger.seat.id, endings, None)).stale == [old]
        assert await ledger.state(other) == "completed"
        assert await ledger.state(new) == "running"

    async def test_steps_progress_and_log_of_the_holder(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        store = ledger.store
        assert await store.record_step(claim, "zeta", "1")
        assert await store.record_step(claim, "alpha", None)
        assert await store.write_progress(claim, '{"fraction":0.5}')
        assert await store.append_log(claim, [LogLine(1, "INFO", "one"), LogLine(2, "ERROR", "two")])
        assert await ledger.settle(claim, "queued", log=(LogLine(3, "INFO", "three"),))
        (again,) = await ledger.claim()
        assert await store.steps(again) == {"zeta": "1", "alpha": None}
        assert [step.name for step in await store.reads.steps(claim.key)] == ["zeta", "alpha"]
        assert (await ledger.run(claim)).progress == '{"fraction":0.5}'
        assert await store.reads.log(claim.key) == [
            (1, LogLine(1, "INFO", "one")), (1, LogLine(2, "ERROR", "two")), (1, LogLine(3, "INFO", "three")),
        ]  # fmt: skip

    async def test_unknown_tasks_are_parked_without_an_attempt_until_somebody_knows_them(self, ledger: Driver) -> None:
        await ledger.store.subscribe([subscription("new", "new")])
        stored = await ledger.send(name="new")
        plain = await ledger.send()
        assert [claim.seq for claim in await ledger.claim()] == [plain.run_seqs[0]]
        run = await ledger.run(stored)
        assert (run.state, run.attempt, run.claim) == ("queued", 1, 0)
        assert run.held_by is not None
        assert await ledger.claim() == []
        await ledger.listen(subscription("new", "new"))
        (claim,) = await ledger.claim()
        assert (claim.seq, claim.attempt, claim.token) == (stored.run_seqs[0], 1, 1)

    async def test_a_held_ending_waits_for_its_reason(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.settle(claim, "queued", held_by="unknown-task:sync")
        assert (await ledger.run(claim)).held_by == "unknown-task:sync"
        await ledger.listen(subscription("sync"))
        assert [again.seq for again in await ledger.claim()] == [claim.seq]
