"""Pauses, and runs that were not started in time."""

from __future__ import annotations

from collections import Counter

import pytest

from cgk_jobs.engine.records import RunKey, TenantRecord
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription

__all__ = ["PausingSuite"]

PAUSED = TenantRecord("acme", added=True, paused=True)


class PausingSuite(StoreCase):
    """``pause``, ``resume``, ``put_tenant``, ``expire``."""

    async def test_a_paused_queue_starts_nothing(self, ledger: Driver) -> None:
        await ledger.listen(subscription("slow", "slow", queue="slow"))
        await ledger.send(name="slow")
        await ledger.send()
        (running,) = await ledger.claim(1)
        await ledger.store.pause("queue", "default")
        await ledger.send()
        assert [claim.queue for claim in await ledger.claim(queues=("default", "slow"))] == ["slow"]
        assert await ledger.settle(running)
        assert [(row.kind, row.name) for row in await ledger.store.reads.paused()] == [("queue", "default")]
        await ledger.store.resume("queue", "default")
        assert len(await ledger.claim()) == 1
        assert await ledger.store.reads.paused() == []

    async def test_a_paused_tenant_starts_nothing_whatever_makes_its_runs_ready(self, ledger: Driver) -> None:
        store = ledger.store
        failed = await ledger.send()
        await ledger.failed(failed)
        await ledger.send()
        (running,) = await ledger.claim()
        ready, late = await ledger.send(), await ledger.send(delay=10)
        await store.put_tenant(PAUSED)
        sent = await ledger.send()
        other = await ledger.send("globex")
        assert await store.retry(RunKey("acme", failed.run_seqs[0]), "default", 0)
        assert await ledger.settle(running, "retrying", attempt=2, due_at=ledger.clock.micros() + 1)
        ledger.clock.advance(10)
        assert [claim.seq for claim in await ledger.claim()] == [other.run_seqs[0]]
        waiting = [ready, late, sent, failed]
        assert [await ledger.state(one) for one in waiting] == ["queued"] * 4
        await store.put_tenant(PAUSED._replace(paused=False))
        assert len(await ledger.claim()) == 5
        assert await ledger.counts("acme") == {"running": 5}

    async def test_a_drained_run_of_a_paused_tenant_waits_too(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.store.put_tenant(PAUSED)
        await ledger.settle(claim, "queued")
        assert await ledger.claim() == []
        await ledger.store.put_tenant(PAUSED._replace(paused=False))
        assert len(await ledger.claim()) == 1

    @pytest.mark.parametrize("weight", [1.0, 3.0])
    async def test_a_resumed_tenant_takes_turns_from_then_on(self, ledger: Driver, weight: float) -> None:
        store = ledger.store
        plain = PAUSED._replace(paused=False, weight=weight)
        await store.put_tenant(plain)
        for _ in range(20):
            await ledger.send("acme")
        await store.put_tenant(plain._replace(paused=True))
        for _ in range(40):
            await ledger.send("acme")
        for _ in range(80):
            await ledger.send("globex")
        assert await self._turns(ledger, 30) == {"globex": 30}
        await store.put_tenant(plain)
        for _ in range(5):
            await ledger.send("acme")
        turns = await self._turns(ledger, 20)
        share = round(20 * weight / (weight + 1))
        assert abs(turns["acme"] - share) <= 1, turns
        # Neither owed for the time of the pause, nor behind for it later.
        turns = await self._turns(ledger, 20)
        assert abs(turns["acme"] - share) <= 1, turns

    async def test_a_resumed_tenants_runs_keep_their_order(self, ledger: Driver) -> None:
        low = [(await ledger.send()).run_seqs[0] for _ in range(3)]
        await ledger.store.put_tenant(PAUSED)
        low += [(await ledger.send()).run_seqs[0] for _ in range(3)]
        high = [(await ledger.send(priority=50)).run_seqs[0] for _ in range(3)]
        for _ in range(20):
            await ledger.send("globex")
        assert await self._turns(ledger, 10) == {"globex": 10}
        await ledger.store.put_tenant(PAUSED._replace(paused=False))
        low.append((await ledger.send()).run_seqs[0])
        high.append((await ledger.send(priority=50)).run_seqs[0])
        order: list[int] = []
        while claims := await ledger.claim(1):
            order += [claim.seq for claim in claims if claim.tenant_id == "acme"]
            await ledger.settle(claims[0])
        assert order == high + low

    async def test_a_tenant_whose_limit_is_raised_takes_turns_from_then_on(self, ledger: Driver) -> None:
        narrow = TenantRecord("acme", added=True, concurrency=1)
        await ledger.store.put_tenant(narrow)
        for _ in range(60):
            await ledger.send("acme")
        (first,) = await ledger.claim(30)
        for _ in range(80):
            await ledger.send("globex")
        # The one that is at work keeps the others parked.
        assert await self._turns(ledger, 40) == {"globex": 40}
        await ledger.store.put_tenant(narrow._replace(concurrency=50))
        turns = await self._turns(ledger, 20)
        assert abs(turns["acme"] - 10) <= 1, turns
        await ledger.settle(first)

    async def _turns(self, ledger: Driver, count: int) -> Counter[str]:
        turns: Counter[str] = Counter()
        while turns.total() < count:
            # A claim that only parks what is over a limit hands nothing out yet.
            for claim in await ledger.claim(1):
                turns[claim.tenant_id] += 1
                await ledger.settle(claim)
        return turns

    async def test_a_pause_can_be_repeated(self, ledger: Driver) -> None:
        for _ in range(2):
            await ledger.store.pause("schedule", "nightly")
            await ledger.store.put_tenant(PAUSED)
        assert len(await ledger.store.reads.paused()) == 1
        for _ in range(2):
            await ledger.store.resume("schedule", "nightly")
            await ledger.store.put_tenant(PAUSED._replace(paused=False))
        assert await ledger.store.reads.paused() == []

    async def test_what_is_not_started_in_time_expires(self, ledger: Driver) -> None:
        await ledger.listen(subscription("hasty", "hasty", expires=30.0))
        soon, late = await ledger.send(expires=10.0), await ledger.send(delay=5, expires=10.0)
        hasty, patient = await ledger.send(name="hasty"), await ledger.send()
        ledger.clock.advance(10)
        assert await ledger.store.expire() == 1
        assert await ledger.state(soon) == "expired"
        assert (await ledger.run(soon)).finished_at == ledger.clock.micros()
        ledger.clock.advance(5)
        assert await ledger.store.expire() == 1
        ledger.clock.advance(15)
        # A claim looks too, so that nothing starts between two looks of the upkeep.
        assert [claim.seq for claim in await ledger.claim()] == [patient.run_seqs[0]]
        assert [await ledger.state(one) for one in (late, hasty)] == ["expired", "expired"]
        assert await ledger.store.expire() == 0

    async def test_what_has_started_does_not_expire(self, ledger: Driver) -> None:
        started = await ledger.send(expires=10.0)
        (claim,) = await ledger.claim()
        ledger.clock.advance(20)
        assert await ledger.store.expire() == 0
        assert await ledger.settle(claim, "retrying", attempt=2, due_at=ledger.clock.micros())
        assert await ledger.store.expire() == 0
        assert len(await ledger.claim()) == 1
        assert await ledger.state(started) == "running"

    async def test_a_parked_run_expires(self, ledger: Driver) -> None:
        await ledger.store.put_tenant(PAUSED)
        stored = await ledger.send(expires=10.0)
        ledger.clock.advance(10)
        assert await ledger.store.expire() == 1
        await ledger.store.put_tenant(PAUSED._replace(paused=False))
        assert await ledger.claim() == []
        assert await ledger.state(stored) == "expired"
