"""Handing wake-ups out: one for each run that needs one, as many as a provider may have, others where they no longer fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Any

import pytest

from cgk_jobs.engine.records import Budgets, NewEvent, RunKey, Stored, TenantRecord
from cgk_jobs.engine.wakeups import Demand, Outstanding, WakeupRecord
from cgk_jobs.tasks.policy import Limit
from cgk_jobs.testing.conformance.awaiting import begun, waiting
from cgk_jobs.testing.conformance.case import SECOND, Driver, StoreCase, subscription

__all__ = ["DEMAND", "WakingSuite", "counted", "handed", "issued", "obsolete", "runs", "seqs"]

DEMAND = Demand("vendor", ahead=3_600 * SECOND)


async def issued(ledger: Driver, **changes: Any) -> list[WakeupRecord]:
    """What a relay is given to hand over."""
    return await ledger.store.issue_wakeups(replace(DEMAND, **changes))


async def handed(ledger: Driver, **changes: Any) -> list[WakeupRecord]:
    """Wake-ups handed over, and acknowledged by the provider."""
    records = await issued(ledger, **changes)
    receipts = [(record.id, f"ref-{record.id}", None) for record in records]
    assert await ledger.store.acknowledge_wakeups(changes.get("provider", "vendor"), receipts) == len(records)
    return records


async def obsolete(ledger: Driver, provider: str = "vendor", count: int = 100) -> list[str]:
    """The ids to be taken back."""
    return [record.id for record in await ledger.store.obsolete_wakeups(provider, count)]


async def counted(ledger: Driver, provider: str = "vendor") -> Outstanding:
    """What is outstanding at a provider."""
    return (await ledger.store.count_wakeups()).get(provider, Outstanding())


def seqs(records: Sequence[WakeupRecord]) -> list[int]:
    return [record.run_seq for record in records]


def runs(*stored: Stored) -> list[int]:
    return [one.run_seqs[0] for one in stored]


class WakingSuite(StoreCase):
    """``issue_wakeups``, ``acknowledge_wakeups``, ``obsolete_wakeups``."""

    # -- the outbox --------------------------------------------------------------------------------------------------

    async def test_a_run_gets_one_wakeup_that_says_what_it_is_for(self, ledger: Driver) -> None:
        await ledger.listen(subscription("secret", "secret"))
        sent = await ledger.send(payload='{"x":1}', priority=7)
        hidden = await ledger.send(name="secret")
        first, second = sorted(await issued(ledger, with_payload=frozenset({"sync"})), key=lambda one: one.run_seq)
        assert first[1:] == (
            "acme", sent.run_seqs[0], sent.nonce, "sync", "default", 7, ledger.clock.micros(), "", '{"x":1}', False,
        )  # fmt: skip
        assert (second.run_seq, second.payload) == (hidden.run_seqs[0], None)
        for record in (first, second):
            assert len(record.id) == 26
            assert record.id.isalnum()
            assert record.id.islower()
            assert record.id[0].isalpha()
        assert first.id != second.id
        assert await issued(ledger) == []

    async def test_one_that_was_not_acknowledged_is_handed_out_again(self, ledger: Driver) -> None:
        await ledger.send(payload='{"x":1}')
        (first,) = await issued(ledger)
        assert await counted(ledger) == Outstanding(unacknowledged=1)
        ledger.clock.advance(9)
        assert await issued(ledger) == []
        ledger.clock.advance(1)
        (again,) = await issued(ledger, with_payload=frozenset({"sync"}))
        assert again == first._replace(payload='{"x":1}')
        ledger.clock.advance(9)
        assert await issued(ledger) == []
        # However long it takes: nobody has it yet, so it is not overdue.
        ledger.clock.advance(100)
        assert [one.id for one in await handed(ledger)] == [first.id]
        assert await counted(ledger) == Outstanding(handed=1, overdue=1)
        ledger.clock.advance(20)
        assert await issued(ledger) == []
        assert await ledger.store.acknowledge_wakeups("vendor", [("wnobody", "x", None)]) == 0
        assert await ledger.store.acknowledge_wakeups("other", [(first.id, "x", None)]) == 0
        assert await ledger.store.acknowledge_wakeups("vendor", []) == 0

    async def test_the_ones_never_acknowledged_come_first(self, ledger: Driver) -> None:
        await ledger.store.active_provider("vendor")
        old = await ledger.send("a")
        await issued(ledger)
        new, late = await ledger.send("b"), await ledger.send("c", delay=60)
        ledger.clock.advance(10)
        assert seqs(await issued(ledger, provider="other", most=1)) == runs(new), "another's are left to it"
        # At a provider that is neither the active one nor the one that asks, it is as if it had none.
        assert seqs(await issued(ledger)) == runs(old, new, late)

    async def test_one_not_acknowledged_whose_run_is_gone_is_forgotten(self, ledger: Driver) -> None:
        sent = await ledger.send()
        await issued(ledger)
        await ledger.store.cancel([RunKey("acme", sent.run_seqs[0])])
        assert await obsolete(ledger) == []
        ledger.clock.advance(10)
        assert await issued(ledger) == []
        assert await ledger.store.count_wakeups() == {}

    async def test_a_refused_one_is_tried_again_when_it_is_overdue(self, ledger: Driver) -> None:
        await ledger.send()
        (record,) = await issued(ledger)
        await ledger.store.acknowledge_wakeups("vendor", [(record.id, "", "no payload is taken")])
        assert await counted(ledger) == Outstanding(refused=1)
        ledger.clock.advance(29)
        assert await issued(ledger) == []
        ledger.clock.advance(1)
        (other,) = await issued(ledger)
        assert other.id != record.id
        assert await obsolete(ledger) == [], "the provider never had it"
        assert await counted(ledger) == Outstanding(unacknowledged=1)

    async def test_a_refused_one_is_neither_taken_back_nor_takes_room(self, ledger: Driver) -> None:
        for _ in range(3):
            await ledger.send()
        records = await issued(ledger, per_queue=2)
        await ledger.store.acknowledge_wakeups("vendor", [(record.id, "", "too large") for record in records])
        (claim,) = await ledger.claim(1)
        (third,) = await handed(ledger, per_queue=2)
        assert third.run_seq not in seqs(records)
        await ledger.settle(claim)
        assert await obsolete(ledger) == []

    # -- how many, and in which order --------------------------------------------------------------------------------

    async def test_tenants_take_turns(self, ledger: Driver) -> None:
        big = [await ledger.send("big") for _ in range(50)]
        small = [await ledger.send("small") for _ in range(3)]
        (front,) = await issued(ledger, most=1)
        records = [front, *await issued(ledger, per_queue=6)]
        assert [sorted(one.tenant_id for one in records[place : place + 2]) for place in (0, 2, 4)] == [
            ["big", "small"]
        ] * 3
        for tenant_id, stored in (("big", big[:3]), ("small", small)):
            assert seqs([one for one in records if one.tenant_id == tenant_id]) == runs(*stored)
        assert len(await ledger.claim(6)) == 6
        assert seqs(await issued(ledger, per_queue=8)) == runs(*big[3:5])

    async def test_a_queue_has_only_so_many_at_the_provider(self, ledger: Driver) -> None:
        await ledger.listen(subscription("slow", "slow", queue="slow"))
        for _ in range(5):
            await ledger.send()
            await ledger.send(name="slow")
        records = await handed(ledger, per_queue=2)
        assert sorted(record.queue for record in records) == ["default"] * 2 + ["slow"] * 2
        assert await issued(ledger, per_queue=2) == []
        (rung,) = (await ledger.store.take_wakeups([records[0].id])).values()
        (claim,) = await ledger.claim(1, queues=(rung.queue,))
        assert claim.seq == rung.run_seq
        (next_one,) = await issued(ledger, per_queue=2)
        assert next_one.queue == rung.queue

    async def test_queues_take_turns_in_one_answer(self, ledger: Driver) -> None:
        await ledger.listen(subscription("slow", "slow", queue="slow"))
        for name in ("placed", "slow"):
            for _ in range(5):
                await ledger.send(name=name)
        records = await issued(ledger, most=4)
        assert sorted(record.queue for record in records) == ["default"] * 2 + ["slow"] * 2
        assert len(await issued(ledger, most=4)) == 4
        assert len(await issued(ledger, most=4)) == 2

    async def test_delayed_runs_get_theirs_within_reach(self, ledger: Driver) -> None:
        late, soon, far = await ledger.send(delay=90), await ledger.send(delay=60), await ledger.send(delay=4_000)
        records = await handed(ledger)
        assert seqs(records) == runs(soon, late)
        assert [record.due_at - ledger.clock.micros() for record in records] == [60 * SECOND, 90 * SECOND]
        assert await issued(ledger) == []
        ledger.clock.advance(61)
        # It is ready, and its wake-up is due.
        assert await issued(ledger) == []
        assert await ledger.state(soon) == "queued"
        assert await counted(ledger) == Outstanding(handed=2, overdue=1)
        ledger.clock.advance(400)
        assert far.run_seqs[0] in seqs(await issued(ledger))

    async def test_as_many_are_due_later_as_are_due(self, ledger: Driver) -> None:
        later = [await ledger.send(delay=60 + number) for number in range(5)]
        ready = [await ledger.send() for _ in range(3)]
        assert seqs(await handed(ledger, per_queue=2)) == runs(*ready[:2], *later[:2])
        assert await issued(ledger, per_queue=2) == []
        assert seqs(await issued(ledger, per_queue=4)) == runs(ready[2], *later[2:4])

    async def test_delayed_runs_of_several_queues_all_get_theirs(self, ledger: Driver) -> None:
        await ledger.listen(subscription("slow", "slow", queue="slow"))
        first = [await ledger.send(delay=60) for _ in range(2)]
        second = [await ledger.send(name="slow", delay=90) for _ in range(2)]
        records = [*await issued(ledger, per_queue=2), *await issued(ledger, per_queue=2)]
        assert sorted(seqs(records)) == sorted(runs(*first, *second))

    async def test_a_backlog_of_due_runs_is_for_now(self, ledger: Driver) -> None:
        due = ledger.clock.micros() + SECOND
        await ledger.store.insert([NewEvent("acme", "placed", 1, "{}", due_at=due)] * 520)
        ledger.clock.advance(100)
        records = await handed(ledger, most=1_000)
        assert len(records) == 520
        assert {record.due_at for record in records} == {ledger.clock.micros()}
        assert await issued(ledger) == []

    # -- what needs none, and what needs another ---------------------------------------------------------------------

    async def test_parked_runs_get_one_once_they_are_free(self, ledger: Driver) -> None:
        ledger.tasks["sync"] = Budgets((Limit(1),), ())
        first, second = await ledger.send(), await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.store.put_tenant(TenantRecord("paused", added=True, paused=True))
        held = await ledger.send("paused")
        assert await issued(ledger) == []
        await ledger.settle(claim)
        assert seqs(await issued(ledger)) == runs(second)
        await ledger.store.put_tenant(TenantRecord("paused", added=True))
        assert seqs(await issued(ledger)) == runs(held)
        assert claim.seq == first.run_seqs[0]

    async def test_one_of_a_parked_run_is_taken_back(self, ledger: Driver) -> None:
        await ledger.send()
        (record,) = await handed(ledger)
        assert await obsolete(ledger) == []
        await ledger.store.put_tenant(TenantRecord("acme", added=True, paused=True))
        assert await obsolete(ledger) == [record.id]
        assert await ledger.store.drop_wakeups([record.id, record.id]) == 1
        await ledger.store.put_tenant(TenantRecord("acme", added=True))
        (other,) = await issued(ledger)
        assert (other.run_seq, other.id != record.id) == (record.run_seq, True)

    async def test_a_paused_queue_gets_none(self, ledger: Driver) -> None:
        await ledger.store.pause("queue", "default")
        sent, late = await ledger.send(), await ledger.send(delay=60)
        assert await issued(ledger) == []
        await ledger.store.resume("queue", "default")
        assert seqs(await issued(ledger)) == runs(sent, late)

    async def test_a_retry_gets_one_for_its_time(self, ledger: Driver) -> None:
        sent = await ledger.send()
        (record,) = await handed(ledger)
        await ledger.store.take_wakeups([record.id])
        (claim,) = await ledger.claim()
        assert await issued(ledger) == []
        due = ledger.clock.micros() + 60 * SECOND
        await ledger.settle(claim, "retrying", attempt=2, due_at=due)
        (again,) = await issued(ledger)
        assert (again.run_seq, again.due_at, again.id != record.id) == (sent.run_seqs[0], due, True)

    async def test_one_for_a_timeout_is_replaced_when_the_event_comes_before(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim)
        due = ledger.clock.micros() + 600 * SECOND
        await ledger.settle(claim, "waiting", due_at=due)
        (timeout,) = await handed(ledger)
        assert timeout.due_at == due
        await ledger.send(name="paid", payload='{"id":"1"}')
        (now,) = await handed(ledger)
        assert (now.run_seq, now.due_at) == (claim.seq, ledger.clock.micros())
        assert await obsolete(ledger) == [timeout.id]
        assert await counted(ledger) == Outstanding(handed=1, overdue=1, obsolete=1)

    @pytest.mark.parametrize("acknowledged", [True, False])
    async def test_one_for_later_is_replaced_when_the_run_is_due_before(
        self, ledger: Driver, acknowledged: bool
    ) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim)
        now = ledger.clock.micros()
        await ledger.settle(claim, "waiting", due_at=now + 600 * SECOND)
        (timeout,) = await (handed if acknowledged else issued)(ledger)
        await ledger.send(name="paid", payload='{"id":"1"}')
        (again,) = await ledger.claim()
        await ledger.settle(again, "retrying", attempt=2, due_at=now + 60 * SECOND)
        (retry,) = await issued(ledger)
        assert retry.due_at == now + 60 * SECOND
        assert await obsolete(ledger) == ([timeout.id] if acknowledged else [])
        ledger.clock.advance(10)
        assert [one.id for one in await issued(ledger)] == [retry.id]
        assert await counted(ledger) == Outstanding(unacknowledged=1, obsolete=int(acknowledged))

    async def test_one_for_the_wrong_queue_is_replaced(self, ledger: Driver) -> None:
        await ledger.send(delay=60)
        (record,) = await handed(ledger)
        await ledger.listen(subscription("sync", queue="other"))
        (moved,) = await handed(ledger)
        assert (moved.queue, moved.due_at) == ("other", record.due_at)
        assert await obsolete(ledger) == [record.id]
        await ledger.listen(subscription("sync", queue="third"))
        ledger.clock.advance(60)
        (again,) = await handed(ledger)
        assert (again.queue, again.due_at) == ("third", ledger.clock.micros())
        assert len(await ledger.claim(queues=("third",))) == 1

    async def test_one_of_a_run_claimed_without_its_ring_stays_until_that_ends(self, ledger: Driver) -> None:
        await ledger.send()
        (record,) = await handed(ledger)
        (claim,) = await ledger.claim()
        assert await obsolete(ledger) == []
        await ledger.settle(claim)
        assert await obsolete(ledger) == [record.id]

    async def test_one_of_a_run_that_was_cancelled_is_taken_back(self, ledger: Driver) -> None:
        ready, late = await ledger.send(), await ledger.send(delay=600)
        records = await handed(ledger)
        await ledger.store.cancel([RunKey("acme", seq) for seq in runs(ready, late)])
        assert sorted(await obsolete(ledger)) == sorted(record.id for record in records)
        assert len(await obsolete(ledger, count=1)) == 1
        assert await ledger.store.drop_wakeups([record.id for record in records]) == 2
        assert await ledger.store.count_wakeups() == {}

    async def test_one_that_does_not_ring_is_replaced(self, ledger: Driver) -> None:
        sent, late = await ledger.send(), await ledger.send(delay=60)
        first, later = await handed(ledger)
        ledger.clock.advance(29)
        assert await issued(ledger) == []
        ledger.clock.advance(1)
        (second,) = await handed(ledger)
        assert (second.run_seq, second.due_at) == (sent.run_seqs[0], ledger.clock.micros())
        assert await obsolete(ledger) == [first.id]
        # Its vendor may ring it yet, and it still permits a claim.
        assert set(await ledger.store.take_wakeups([first.id, later.id])) == {first.id, later.id}
        assert seqs(await issued(ledger)) == runs(late)
