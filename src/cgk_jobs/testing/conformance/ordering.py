"""The fair order: priority within a tenant, shares between tenants."""

from __future__ import annotations

from collections import Counter

import pytest

from cgk_jobs.engine.records import TenantRecord
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription

__all__ = ["OrderingSuite"]


class OrderingSuite(StoreCase):
    """Which run is next."""

    async def _drain(self, ledger: Driver, count: int) -> list[str]:
        order: list[str] = []
        while claims := await ledger.claim(count):
            order += [claim.tenant_id for claim in claims]
            for claim in claims:
                await ledger.settle(claim)
        return order

    async def test_one_tenant_is_served_in_the_order_sent(self, ledger: Driver) -> None:
        sent = [(await ledger.send()).run_seqs[0] for _ in range(10)]
        assert [claim.seq for claim in await ledger.claim()] == sent

    async def test_higher_priorities_go_first_within_a_tenant(self, ledger: Driver) -> None:
        lanes = [0, 5, 0, 100, 5, 0, 1]
        for lane in lanes:
            await ledger.send(priority=lane)
        claimed = [(await ledger.claim(1))[0].lane for _ in lanes]
        assert claimed == sorted(lanes, reverse=True)

    async def test_priority_gains_nothing_over_other_tenants(self, ledger: Driver) -> None:
        for _ in range(20):
            await ledger.send("loud", priority=100)
            await ledger.send("calm")
        order = [(await ledger.claim(1))[0].tenant_id for _ in range(20)]
        assert Counter(order) == {"loud": 10, "calm": 10}

    async def test_precedence_across_tenants_where_a_task_asks_for_it(self, ledger: Driver) -> None:
        await ledger.listen(subscription("urgent", "urgent", rank=-50), subscription("first", "first", rank=-100))
        for tenant in ("a", "b"):
            for name in ("placed", "urgent", "first"):
                await ledger.send(tenant, name=name)
        assert [claim.task for claim in await ledger.claim()] == ["first", "first", "urgent", "urgent", "sync", "sync"]

    async def test_a_backlog_delays_nobody_else(self, ledger: Driver) -> None:
        for _ in range(200):
            await ledger.send("big")
        await ledger.claim(50)
        small = await ledger.send("small")
        assert small.run_seqs[0] in [claim.seq for claim in await ledger.claim(2)]

    @pytest.mark.parametrize("weight", [1.0, 3.0])
    async def test_shares_follow_weights(self, ledger: Driver, weight: float) -> None:
        await ledger.store.put_tenant(TenantRecord("a", added=True, weight=weight))
        for _ in range(120):
            await ledger.send("a")
            await ledger.send("b")
        order: list[str] = []
        for _ in range(40):
            order += [claim.tenant_id for claim in await ledger.claim(2)]
        shares = Counter(order)
        assert shares["a"] / 80 == pytest.approx(weight / (weight + 1), abs=0.05)

    async def test_a_share_changes_for_what_waits_already(self, ledger: Driver) -> None:
        row = TenantRecord("a", added=True)
        await ledger.store.put_tenant(row)
        for _ in range(400):
            await ledger.send("a")
            await ledger.send("b")
        for weight in (1.0, 3.0, 1.0, 0.25, 1.0):
            await ledger.store.put_tenant(row._replace(weight=weight))
            order: list[str] = []
            for _ in range(40):
                order += [claim.tenant_id for claim in await ledger.claim(2)]
                await ledger.send("a")
            assert Counter(order)["a"] / 80 == pytest.approx(weight / (weight + 1), abs=0.06), weight
        assert Counter(await self._drain(ledger, 4))["a"] > 100

    async def test_idle_time_is_no_credit(self, ledger: Driver) -> None:
        for _ in range(100):
            await ledger.send("steady")
        await ledger.claim(80)
        for _ in range(20):
            await ledger.send("rested")
        order = [(await ledger.claim(1))[0].tenant_id for _ in range(20)]
        assert Counter(order)["steady"] >= 9

    async def test_all_capacity_is_used(self, ledger: Driver) -> None:
        for _ in range(30):
            await ledger.send("only")
        assert len(await ledger.claim(30)) == 30

    async def test_everyone_is_served_in_the_end(self, ledger: Driver) -> None:
        for number in range(60):
            await ledger.send(f"t{number % 7}", priority=number % 3)
        order = await self._drain(ledger, 4)
        assert Counter(order) == Counter(f"t{number % 7}" for number in range(60))
