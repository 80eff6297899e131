"""Quotas: what is refused, what is counted, and whom it concerns."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Sequence

import pytest

from cgk_jobs.engine.quotas import Crossing, TenantQuotas
from cgk_jobs.engine.records import NewEvent, RunKey, ScheduleRecord, Settlement
from cgk_jobs.errors import QuotaExceeded
from cgk_jobs.tasks.flow import Debounce, Flow, Latest, Unique
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["QuotasSuite"]

HOUR = 3_600 * SECOND


async def used(ledger: Driver, tenant_id: str = "acme") -> tuple[int, int]:
    """Runs and bytes as they are counted."""
    _, counter = await ledger.store.reads.quotas(tenant_id)
    return counter.runs, counter.payload_bytes


class QuotasSuite(StoreCase):
    """``put_quotas``, ``watch_quotas``, and the read side's ``quotas``."""

    # -- runs and bytes ----------------------------------------------------------------------------------------------

    async def test_beyond_its_hard_quota_nothing_is_stored_of_a_tenant(self, ledger: Driver) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=2))
        await ledger.send()
        with pytest.raises(QuotaExceeded, match="acme has 1 runs that have not ended, its quota is 2") as refusal:
            await ledger.store.insert(
                [NewEvent("globex", "placed", 1, "{}"), *[NewEvent("acme", "placed", 1, "{}")] * 2]
            )
        assert (refusal.value.tenant_id, refusal.value.quota, refusal.value.used, refusal.value.hard) == (
            "acme", "queued", 1, 2,
        )  # fmt: skip
        assert await ledger.counts() == {"queued": 1}
        await ledger.send()
        with pytest.raises(QuotaExceeded):
            await ledger.send(delay=10)
        with pytest.raises(QuotaExceeded):
            await ledger.send(tags="a", key="k", key_until=ledger.clock.micros() + HOUR)
        await ledger.send("globex", key="k", key_until=ledger.clock.micros() + HOUR)
        assert await ledger.counts() == {"queued": 3}
        assert await used(ledger) == (2, 4)

    async def test_every_end_of_a_run_gives_its_room_back(self, ledger: Driver) -> None:
        store = ledger.store
        await store.put_quotas(TenantQuotas("acme", queued_hard=7))
        payload = '{"name":"naïve"}'
        for _ in range(4):
            await ledger.send(payload=payload)
        claims = await ledger.claim()
        late, expiring = await ledger.send(payload=payload, delay=10), await ledger.send(payload=payload, expires=5)
        assert await used(ledger) == (6, 6 * 17)
        await ledger.look(
            0, settlements=[Settlement(claims[0], "completed", 1), Settlement(claims[1], "failed", 1, outcome="failed")]
        )
        await ledger.settle(claims[2], "retrying", attempt=2, due_at=ledger.clock.micros() + HOUR)
        assert await used(ledger) == (4, 4 * 17)
        assert await store.cancel([RunKey("acme", late.run_seqs[0]), claims[3].key]) == 2
        await ledger.settle(claims[3], "cancelled")
        assert await used(ledger) == (2, 2 * 17)
        ledger.clock.advance(5)
        assert await store.expire() == 1
        assert await ledger.state(expiring) == "expired"
        assert await used(ledger) == (1, 17)
        assert await store.retry(claims[1].key, "default", 0)
        assert await used(ledger) == (2, 2 * 17)

    async def test_a_run_taken_back_from_a_dead_worker_ends_cancelled_and_gives_its_room_back(
        self, ledger: Driver
    ) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=2))
        seat = await ledger.store.take_seat(("default",), 10, 15.0)
        await ledger.send()
        await ledger.send()
        first, _ = await ledger.claim(seat=seat)
        await ledger.store.cancel([first.key])
        await self.bury(ledger.store, seat)
        ledger.clock.advance(60)
        assert await ledger.store.rescue(15.0) == 2
        assert await used(ledger) == (1, 2)

    async def test_a_quota_counts_what_there_is_already(self, ledger: Driver) -> None:
        done, _ = await ledger.send(), await ledger.send(payload='{"x":1}')
        (claim, _) = await ledger.claim()
        assert claim.seq == done.run_seqs[0]
        await ledger.settle(claim)
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=1))
        assert await used(ledger) == (1, 7)
        with pytest.raises(QuotaExceeded):
            await ledger.send()
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=2))
        await ledger.send()
        await ledger.store.put_quotas(TenantQuotas("acme"))
        assert await ledger.store.reads.quotas("acme") == (
            TenantQuotas("acme"),
            (await ledger.store.reads.quotas("x"))[1]._replace(tenant_id="acme"),
        )
        for _ in range(3):
            await ledger.send()

    async def test_bytes_of_payloads_are_limited(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail"))
        await ledger.store.put_quotas(TenantQuotas("acme", bytes_hard=100))
        await ledger.send(payload=json.dumps("x" * 38))
        with pytest.raises(QuotaExceeded, match="80 bytes"):
            await ledger.send(payload=json.dumps("x" * 9))
        await ledger.send(payload=json.dumps("x" * 8))
        assert await used(ledger) == (4, 100)

    async def test_a_duplicate_costs_nothing(self, ledger: Driver) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=1))
        until = ledger.clock.micros() + HOUR
        first = await ledger.send(key="k", key_until=until)
        assert await ledger.send(key="k", key_until=until) == first._replace(duplicate=True)
        assert await used(ledger) == (1, 2)

    @pytest.mark.parametrize(
        "flow", [Flow(unique=Unique(by="k")), Flow(debounce=Debounce(seconds=5, by="k")), Flow(latest=Latest(by="k"))]
    )
    async def test_what_flow_control_makes_of_sends_is_counted(self, ledger: Driver, flow: Flow) -> None:
        await ledger.listen(subscription("flowing", "flow", flow=flow.stored()))
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=3))
        for _ in range(6):
            await ledger.send(name="flow", payload='{"k":"a"}')
        assert (await used(ledger))[0] == 1
        await ledger.send()
        await ledger.send()
        assert (await used(ledger))[0] == 3

    async def test_a_tenant_over_its_quota_keeps_nobody_else_from_sending(self, ledger: Driver) -> None:
        await ledger.store.put_quotas(TenantQuotas("acme", queued_hard=3))
        sends = [ledger.send("acme" if number % 2 else f"t{number}") for number in range(40)]
        answers = await asyncio.gather(*sends, return_exceptions=True)
        refused = [answer for answer in answers if isinstance(answer, QuotaExceeded)]
        assert (len(refused), len(answers) - len(refused)) == (17, 23)
        assert await ledger.counts("acme") == {"queued": 3}

    # -- sends -------------------------------------------------------------------------------------------------------

    async def test_sends_are_limited_in_a_window(self, ledger: Driver) -> None:
        await ledger.listen(subscription("mail"))
        await ledger.store.put_quotas(TenantQuotas("acme", sends_hard=4, sends_seconds=60.0))
        for name in ("placed", "nobody", "placed", "nobody"):
            await ledger.send(name=name)
        for _ in range(2):
            with pytest.raises(QuotaExceeded, match="4 sends in 60 s"):
                await ledger.send(name="nobody")
        ledger.clock.advance(120)
        for _ in range(4):
            await ledger.send()
        # Halfway through the next window half of the last one still counts.
        ledger.clock.advance(90 - ledger.clock.micros() / SECOND % 60)
        await ledger.send()
        await ledger.send()
        with pytest.raises(QuotaExceeded):
            await ledger.send()

    # -- warnings ----------------------------------------------------------------------------------------------------

    async def test_a_soft_quota_is_told_of_once_for_each_crossing(self, ledger: Driver) -> None:
        told: list[Crossing] = []
        stop = ledger.store.watch_quotas(told.append)
        await ledger.store.put_quotas(TenantQuotas("acme", queued_soft=10, queued_hard=12))
        for _ in range(10):
            await ledger.send()
        assert [(one.tenant_id, *one.use) for one in told] == [("acme", "queued", 10, 10, 12, None)]
        await ledger.send()
        claims = await ledger.claim()
        await ledger.settle(claims[0])
        await ledger.settle(claims[1])
        for _ in range(2):
            await ledger.send()
        assert len(told) == 1, "it has not gone back far enough to be told of again"
        for claim in claims[2:5]:
            await ledger.settle(claim)
        for _ in range(2):
            await ledger.send()
        assert len(told) == 2
        stop()
        await ledger.store.put_quotas(TenantQuotas("acme", queued_soft=1))
        await ledger.send()
        assert len(told) == 2

    # -- ticks -------------------------------------------------------------------------------------------------------

    async def test_a_tick_beyond_the_quota_is_refused_for_that_tenant_alone(self, ledger: Driver) -> None:
        before = await ledger.store.schedule("sync", "UTC", "0 * * * *")
        await ledger.store.put_quotas(TenantQuotas("b", queued_hard=1))
        await ledger.send("b")
        first = await self._fire(ledger, before, before.last_at + SECOND, ["a", "b", "c"])
        assert await ledger.counts() == {"queued": 3}
        _, counter = await ledger.store.reads.quotas("b")
        assert (counter.runs, counter.refused_ticks) == (1, 1)
        for claim in await ledger.claim():
            await ledger.settle(claim)
        await self._fire(ledger, first, first.last_at + SECOND, ["a", "b", "c"])
        assert await ledger.counts("b") == {"completed": 1, "queued": 1}

    async def _fire(self, ledger: Driver, before: ScheduleRecord, tick: int, tenants: Sequence[str]) -> ScheduleRecord:
        events = [NewEvent(one, "tick", 1, "{}", "sync", tick_at=tick) for one in tenants]
        after = before._replace(last_at=tick)
        assert await ledger.store.fire(before, after, events) is not None
        return after
