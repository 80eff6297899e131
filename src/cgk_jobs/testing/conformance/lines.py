"""Order: of each line one run is ahead, and the next follows when it has ended, however it did."""

from __future__ import annotations

import pytest

from cgk_jobs.engine.records import Budgets, NewEvent, RunKey, Stored, TenantRecord
from cgk_jobs.tasks.flow import Flow, Latest
from cgk_jobs.tasks.policy import Limit
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["LineSuite"]


class LineSuite(StoreCase):
    """Tasks with ``ordered_by``."""

    async def _in_line(self, ledger: Driver, flow: Flow | None = None) -> None:
        await ledger.listen(subscription("line", "line", flow=(flow or Flow(ordered_by=("k",))).stored()))

    async def _line_up(self, ledger: Driver, key: str = "a", tenant: str = "acme", **options: object) -> Stored:
        return await ledger.send(tenant, name="line", payload=f'{{"k":"{key}"}}', **options)

    async def _head(self, ledger: Driver) -> int | None:
        claims = await ledger.claim()
        assert len(claims) <= 1, "two runs of a line at a time"
        return claims[0].seq if claims else None

    async def test_one_at_a_time_in_the_order_sent(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        sent = [(await self._line_up(ledger, priority=priority)).run_seqs[0] for priority in (0, 5, 100, 1)]
        order: list[int] = []
        while claims := await ledger.claim():
            (claim,) = claims
            order.append(claim.seq)
            assert await ledger.claim() == []
            await ledger.settle(claim)
        assert order == sent

    async def test_other_lines_and_tenants_go_on(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        for key, tenant in (("a", "acme"), ("a", "acme"), ("b", "acme"), ("a", "aaron"), ("a", "rival")):
            await self._line_up(ledger, key, tenant)
        claims = await ledger.claim()
        assert len(claims) == 4
        for claim in claims:
            if (claim.tenant_id, claim.payload) != ("acme", '{"k":"a"}'):
                await ledger.settle(claim)
        assert await ledger.claim() == []

    async def test_a_whole_line_sent_at_once_is_in_order_too(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        stored = await ledger.store.insert([NewEvent("acme", "line", 1, '{"k":1}') for _ in range(5)])
        assert [await self._head(ledger), await self._head(ledger)] == [stored[0].run_seqs[0], None]

    async def test_a_head_that_is_tried_again_sleeps_or_is_put_back_holds_the_others(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        first, second = await self._line_up(ledger), await self._line_up(ledger)
        for state in ("retrying", "waiting", "queued"):
            (claim,) = await ledger.claim()
            due = ledger.clock.micros() + 5 * SECOND if state != "queued" else None
            await ledger.settle(claim, state, due_at=due)
            assert (await ledger.run(second)).held_by == "order"
            if due is not None:
                assert await ledger.claim() == []
                ledger.clock.advance(5)
        assert await self._head(ledger) == first.run_seqs[0]

    @pytest.mark.parametrize("end", ["completed", "failed", "cancelled", "cancelled at once", "expired", "logged"])
    async def test_the_next_follows_however_the_head_ended(self, ledger: Driver, end: str) -> None:
        await self._in_line(ledger)
        first = await self._line_up(ledger, expires=5.0)
        second, third = await self._line_up(ledger), await self._line_up(ledger)
        if end == "cancelled at once":
            await ledger.store.cancel([RunKey("acme", first.run_seqs[0])])
        elif end == "expired":
            ledger.clock.advance(5)
            await ledger.store.expire()
        else:
            (claim,) = await ledger.claim()
            await ledger.settle(claim, "completed" if end == "logged" else end)  # type: ignore[arg-type]
        assert await self._head(ledger) == second.run_seqs[0]
        assert (await ledger.run(third)).held_by == "order"

    async def test_a_head_that_expires_in_a_claim_makes_way(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        await self._line_up(ledger, expires=5.0)
        second = await self._line_up(ledger)
        ledger.clock.advance(5)
        found = await self._head(ledger)
        assert (found or await self._head(ledger)) == second.run_seqs[0]

    async def test_a_cancelled_run_of_a_dead_worker_makes_way(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        await self._line_up(ledger)
        second = await self._line_up(ledger)
        seat = await ledger.store.take_seat(("default",), 1, 15.0)
        (claim,) = await ledger.claim(seat=seat)
        await ledger.store.cancel([claim.key])
        await self.bury(ledger.store, seat)
        await ledger.store.rescue(15.0)
        assert await self._head(ledger) == second.run_seqs[0]
        await seat.leave()

    async def test_a_dead_workers_head_keeps_its_place(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        first = await self._line_up(ledger)
        await self._line_up(ledger)
        seat = await ledger.store.take_seat(("default",), 1, 15.0)
        await ledger.claim(seat=seat)
        await self.bury(ledger.store, seat)
        await ledger.store.rescue(15.0)
        assert await self._head(ledger) == first.run_seqs[0]
        await seat.leave()

    async def test_one_taken_out_of_the_middle_leaves_the_order(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        sent = [await self._line_up(ledger) for _ in range(3)]
        (claim,) = await ledger.claim()
        assert await ledger.store.cancel([RunKey("acme", sent[1].run_seqs[0])]) == 1
        assert await ledger.claim() == []
        await ledger.settle(claim)
        assert await self._head(ledger) == sent[2].run_seqs[0]

    async def test_a_whole_line_is_cancelled(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        sent = [await self._line_up(ledger) for _ in range(4)]
        assert await ledger.store.cancel([RunKey("acme", one.run_seqs[0]) for one in sent]) == 4
        assert await ledger.counts() == {"cancelled": 4}
        await self._line_up(ledger)
        assert len(await ledger.claim()) == 1

    async def test_one_started_again_by_hand_is_next_and_never_beside(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        first = await self._line_up(ledger)
        await ledger.failed(first)
        await self._line_up(ledger)
        third = await self._line_up(ledger)
        (claim,) = await ledger.claim()
        assert await ledger.store.retry(RunKey("acme", first.run_seqs[0]), "default", 0)
        assert await ledger.claim() == []
        await ledger.store.cancel([RunKey("acme", third.run_seqs[0])])
        assert await ledger.claim() == [], "the end of one in line frees nobody"
        await ledger.settle(claim)
        assert await self._head(ledger) == first.run_seqs[0]

    async def test_a_replay_stands_at_the_end(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        first = await self._line_up(ledger)
        await ledger.failed(first)
        second = await self._line_up(ledger)
        event = NewEvent("acme", "line", 1, '{"k":"a"}', "line", replay_of=first.run_seqs[0])
        again = await ledger.store.replay(event, first.run_seqs[0], None)
        (claim,) = await ledger.claim()
        assert claim.seq == second.run_seqs[0]
        await ledger.settle(claim)
        assert await self._head(ledger) == again.run_seqs[0]

    async def test_a_line_outlives_the_option(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        await self._line_up(ledger)
        second = await self._line_up(ledger)
        await ledger.listen(subscription("line", "line"))
        (claim,) = await ledger.claim()
        assert await ledger.claim() == []
        await ledger.settle(claim)
        assert await self._head(ledger) == second.run_seqs[0]

    async def test_a_pause_holds_the_head_and_its_end_frees_it_alone(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        sent = [await self._line_up(ledger) for _ in range(3)]
        (claim,) = await ledger.claim()
        await ledger.store.put_tenant(TenantRecord("acme", added=True, paused=True))
        await ledger.settle(claim)
        assert await ledger.claim() == []
        await ledger.store.put_tenant(TenantRecord("acme", added=True))
        assert await self._head(ledger) == sent[1].run_seqs[0]

    async def test_limits_hold_beside_the_order(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        ledger.tasks["line"] = Budgets((Limit(1, per="tenant"),), ())
        for key in ("a", "a", "b", "b"):
            await self._line_up(ledger, key)
        done = 0
        while claims := await ledger.claim():
            (claim,) = claims
            assert await ledger.claim() == []
            await ledger.settle(claim)
            done += 1
        assert done == 4

    async def test_newest_wins_in_a_line_waits_for_the_running_one(self, ledger: Driver) -> None:
        await self._in_line(ledger, Flow(ordered_by=("k",), latest=Latest(by="k")))
        await self._line_up(ledger)
        (claim,) = await ledger.claim()
        dropped, newest = await self._line_up(ledger), await self._line_up(ledger)
        assert await ledger.claim() == []
        await ledger.settle(claim, "cancelled")
        assert await ledger.state(dropped) == "cancelled"
        assert await self._head(ledger) == newest.run_seqs[0]

    async def test_a_claim_never_looks_at_those_in_line(self, ledger: Driver) -> None:
        await self._in_line(ledger)
        event = NewEvent("acme", "line", 1, '{"k":"a"}')
        await ledger.store.insert([event] * 500)
        last = await ledger.send("acme")
        assert {claim.seq for claim in await ledger.claim(2)} >= {last.run_seqs[0]}
