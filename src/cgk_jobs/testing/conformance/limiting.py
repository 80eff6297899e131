"""Limits and rates: never exceeded, and nobody left waiting beside a free slot."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cgk_jobs.engine.records import Budgets, Claim, RunKey, TenantRecord
from cgk_jobs.tasks.policy import Limit, Rate
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription
from cgk_jobs.wire.json import dumps

__all__ = ["LimitingSuite"]


def limits(*wanted: Limit) -> Budgets:
    return Budgets(wanted, ())


def rates(*wanted: Rate) -> Budgets:
    return Budgets((), wanted)


def tenants(claims: Sequence[Claim]) -> list[str]:
    return sorted(claim.tenant_id for claim in claims)


class LimitingSuite(StoreCase):
    """Budgets of tasks and tenants."""

    async def test_a_limit_over_the_task(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(2))
        for tenant in ("a", "b", "c"):
            await ledger.send(tenant)
        first = await ledger.claim()
        assert len(first) == 2
        assert await ledger.claim() == []
        await ledger.settle(first[0])
        assert len(await ledger.claim()) == 1

    async def test_a_limit_in_each_tenant(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(2, per="tenant"))
        for _ in range(3):
            await ledger.send("a")
            await ledger.send("b")
        claims = await ledger.claim()
        assert tenants(claims) == ["a", "a", "b", "b"]
        await ledger.settle(next(claim for claim in claims if claim.tenant_id == "b"))
        assert tenants(await ledger.claim()) == ["b"]

    async def test_a_limit_for_each_value_of_a_field(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(1, per="shop"))
        for tenant in ("a", "b"):
            for shop in (1, 1, 2):
                await ledger.send(tenant, payload=dumps({"shop": shop}))
        assert tenants(await ledger.claim()) == ["a", "a", "b", "b"]

    async def test_a_limit_shared_by_tasks(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail", "mail"))
        ledger.tasks |= {task: limits(Limit(2, shared="vendor")) for task in ("sync", "mail")}
        for _ in range(2):
            await ledger.send()
            await ledger.send(name="mail")
        claims = await ledger.claim()
        assert len(claims) == 2
        await ledger.settle(claims[0])
        assert len(await ledger.claim()) == 1

    async def test_several_limits_all_hold(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(3), Limit(2, per="tenant"))
        for _ in range(4):
            await ledger.send("a")
            await ledger.send("b")
        running = await ledger.claim()
        done = 0
        while running:
            assert len(running) <= 3
            assert all(tenants(running).count(tenant) <= 2 for tenant in ("a", "b"))
            await ledger.settle(running.pop(0))
            done += 1
            running += await ledger.claim()
        assert done == 8

    async def test_a_tenants_own_limit_over_all_its_tasks(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail", "mail"))
        await ledger.store.put_tenant(TenantRecord("a", added=True, concurrency=2))
        for tenant in ("a", "b"):
            for name in ("placed", "mail", "placed"):
                await ledger.send(tenant, name=name)
        claims = await ledger.claim()
        assert tenants(claims) == ["a", "a", "b", "b", "b"]
        await ledger.settle(claims[0] if claims[0].tenant_id == "a" else claims[1])
        assert tenants(await ledger.claim()) == ["a"]

    @pytest.mark.parametrize("wider", [TenantRecord("a", added=True, concurrency=5), TenantRecord("a", added=True)])
    async def test_a_tenants_wider_limit_counts_at_once(self, ledger: Driver, wider: TenantRecord) -> None:
        await ledger.store.put_tenant(TenantRecord("a", added=True, concurrency=1))
        for _ in range(5):
            await ledger.send("a")
        assert len(await ledger.claim()) == 1
        await ledger.store.put_tenant(wider)
        assert len(await ledger.claim()) == 4

    async def test_a_tenants_narrower_limit_counts_for_the_next(self, ledger: Driver) -> None:
        await ledger.store.put_tenant(TenantRecord("a", added=True, concurrency=3))
        for _ in range(6):
            await ledger.send("a")
        running = await ledger.claim()
        assert len(running) == 3
        await ledger.store.put_tenant(TenantRecord("a", added=True, concurrency=1))
        for claim in running[:2]:
            await ledger.settle(claim)
            assert await ledger.claim() == []
        await ledger.settle(running[2])
        assert len(await ledger.claim()) == 1

    @pytest.mark.parametrize("ending", ["completed", "failed", "retrying", "waiting", "queued", "cancelled"])
    async def test_every_ending_frees_the_slot(self, ledger: Driver, ending: str) -> None:
        ledger.tasks["sync"] = limits(Limit(1, per="tenant"))
        await ledger.send()
        await ledger.send()
        (claim,) = await ledger.claim()
        assert await ledger.claim() == []
        due = ledger.clock.micros() + 10**9 if ending in ("retrying", "waiting") else None
        assert await ledger.settle(claim, ending, due_at=due)  # type: ignore[arg-type]
        assert len(await ledger.claim()) == 1

    async def test_a_stale_ending_frees_nothing(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(1))
        for _ in range(3):
            await ledger.send()
        (old,) = await ledger.claim()
        assert await ledger.settle(old)
        (new,) = await ledger.claim()
        assert not await ledger.settle(old)
        assert await ledger.claim() == []
        assert await ledger.settle(new)
        assert len(await ledger.claim()) == 1

    async def test_a_dead_workers_slots_are_freed(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(1))
        await ledger.send()
        await ledger.send()
        seat = await ledger.store.take_seat(("default",), 1, 15.0)
        assert len(await ledger.claim(seat=seat)) == 1
        await self.bury(ledger.store, seat)
        assert await ledger.store.rescue(15.0) == 1
        assert len(await ledger.claim()) == 1
        await seat.leave()

    async def test_a_sleeping_run_keeps_its_slot_if_it_says_so(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(1, per="tenant", hold_while_waiting=True))
        first, second = await ledger.send(), await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.settle(claim, "waiting", due_at=ledger.clock.micros() + 10**6, kept_slots=claim.slots)
        assert await ledger.claim() == []
        ledger.clock.advance(1)
        (claim,) = await ledger.claim()
        assert claim.seq == first.run_seqs[0]
        await ledger.settle(claim)
        assert [one.seq for one in await ledger.claim()] == [second.run_seqs[0]]

    async def test_a_cancelled_sleeper_gives_its_slot_up(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(1, hold_while_waiting=True))
        await ledger.send()
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.settle(claim, "waiting", due_at=ledger.clock.micros() + 10**9, kept_slots=claim.slots)
        assert await ledger.claim() == []
        assert await ledger.store.cancel([claim.key]) == 1
        assert len(await ledger.claim()) == 1

    async def test_a_cancelled_parked_run_does_not_block_the_next(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = limits(Limit(1))
        stored = [await ledger.send() for _ in range(3)]
        (claim,) = await ledger.claim()
        assert await ledger.claim() == []
        await ledger.store.cancel([RunKey("acme", stored[1].run_seqs[0])])
        await ledger.settle(claim)
        assert [one.seq for one in await ledger.claim()] == [stored[2].run_seqs[0]]

    async def test_limited_runs_do_not_hinder_others(self, ledger: Driver) -> None:
        await ledger.listen(subscription("free", "free"))
        ledger.tasks["sync"] = limits(Limit(1))
        for _ in range(50):
            await ledger.send("busy")
        await ledger.send("busy", name="free")
        seen: list[str] = []
        for _ in range(60):
            exchange = await ledger.look(2)
            seen += [claim.task for claim in exchange.claims]
            if not exchange.more and not exchange.claims:
                break
        assert sorted(seen) == ["free", "sync"]

    async def test_a_rate_is_exact_in_every_window(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = rates(Rate(3, seconds=10))
        starts: list[float] = []
        for second in range(60):
            if second < 14:  # some come while others wait
                await ledger.send()
            starts += [second] * len(await ledger.claim(2))
            ledger.clock.advance(1)
        assert len(starts) == 14
        for start in starts:
            assert sum(start <= other < start + 10 for other in starts) <= 3
        assert starts[-1] < 50, "the rate is used up, not only kept"

    async def test_a_rate_says_when_to_look_again(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = rates(Rate(2, seconds=10))
        for _ in range(7):
            await ledger.send()
        claimed = 0
        for _ in range(10):
            exchange = await ledger.look()
            claimed += len(exchange.claims)
            due = (await ledger.store.exchange(ledger.seat.id, [], None)).next_due
            if due is None:
                break
            ledger.clock.advance((due - ledger.clock.micros()) / 1e6)
        assert claimed == 7

    async def test_rates_of_tenants_fields_and_windows_are_apart(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = rates(Rate(2, seconds=1, per="tenant"), Rate(3, seconds=60, per="tenant"))
        for _ in range(5):
            await ledger.send("a")
            await ledger.send("b")
        assert tenants(await ledger.claim()) == ["a", "a", "b", "b"]
        ledger.clock.advance(1)
        assert tenants(await ledger.claim()) == ["a", "b"]
        ledger.clock.advance(1)
        assert await ledger.claim() == []
        ledger.clock.advance(60)
        assert tenants(await ledger.claim()) == ["a", "a", "b", "b"]

    async def test_a_tenants_own_rate(self, ledger: Driver) -> None:
        await ledger.store.put_tenant(TenantRecord("a", added=True, rate=2, rate_seconds=60.0))
        for _ in range(4):
            await ledger.send("a")
            await ledger.send("b")
        assert tenants(await ledger.claim()) == ["a", "a", "b", "b", "b", "b"]
        ledger.clock.advance(60)
        assert tenants(await ledger.claim()) == ["a", "a"]

    async def test_a_rate_changed_is_never_exceeded(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = rates(Rate(4, seconds=60))
        for _ in range(20):
            await ledger.send()
        assert len(await ledger.claim()) == 4
        ledger.tasks["sync"] = rates(Rate(2, seconds=60))
        await ledger.send()
        assert await ledger.claim() == []
        ledger.clock.advance(60)
        assert len(await ledger.claim()) == 2

    async def test_budgets_of_values_nobody_uses_are_forgotten(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = Budgets((Limit(1, per="shop"),), (Rate(2, seconds=60, per="shop"),))
        for shop in (*range(30), 7, 7, "x" * 5_000):
            await ledger.send(payload=dumps({"shop": shop}))
        (seventh,) = [claim for claim in await ledger.claim() if not await self._settled_but(ledger, claim, 7)]
        ledger.clock.advance(59)
        await ledger.store.expire()
        assert await ledger.claim() == [], "the seventh still runs"
        assert await ledger.settle(seventh)
        (second,) = await ledger.claim()
        assert await ledger.settle(second)
        await ledger.send(payload=dumps({"shop": 9}))
        (ninth,) = await ledger.claim()
        await ledger.settle(ninth)
        await ledger.send(payload=dumps({"shop": 9}))
        await ledger.store.expire()
        assert await ledger.claim() == [], "two have started within the minute"
        ledger.clock.advance(2)
        await ledger.store.expire()
        assert len(await ledger.claim()) == 2
        ledger.clock.advance(100)
        await ledger.store.expire()
        assert await self._budgets_left(ledger) == 2, "the slots of those that run"

    async def _settled_but(self, ledger: Driver, claim: Claim, shop: int) -> bool:
        return f":{shop}}}" not in claim.payload and await ledger.settle(claim)

    async def _budgets_left(self, ledger: Driver) -> int:
        count = 0
        while deleted := await ledger.store.purge("acme", 1_000):
            count += deleted.get("limits", 0)
        return count
