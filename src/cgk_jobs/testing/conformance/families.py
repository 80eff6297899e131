"""Runs that call runs: made together, awaited together, each end told in the transaction that brings it."""

from __future__ import annotations

from collections.abc import Sequence

import pytest

from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import Claim, NewEvent, Parent, RunKey
from cgk_jobs.engine.states import State
from cgk_jobs.errors import InvalidTask, RunCancelled
from cgk_jobs.runtime.entries import JournalEntry, child_entry
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import loads

__all__ = ["FamiliesSuite"]


async def begun(ledger: Driver) -> Claim:
    """A claimed run that may call ``child``."""
    await ledger.listen(subscription("child", ""))
    await ledger.send()
    (claim,) = await ledger.claim()
    return claim


def child(claim: Claim, step: str, task: str = "child") -> NewEvent:
    """A run to be made for its caller."""
    parent = Parent(claim.seq, claim.nonce, step, claim.depth + 1)
    return NewEvent(claim.tenant_id, "", 1, "{}", task, parent=parent, nonce=claim.nonce)


async def call(ledger: Driver, claim: Claim, name: str = "one") -> bool:
    """Call one child alone."""
    entry = JournalEntry(name, None, 0, pending=1)
    return await ledger.store.spawn(claim, entry, [child(claim, name)], first=0, concurrency=None)


async def call_group(
    ledger: Driver, claim: Claim, indexes: Sequence[int], size: int, concurrency: int | None = None
) -> bool:
    """Call a part of the group ``map``."""
    entry = JournalEntry("map", f'{{"count":{size}}}', 0, pending=size)
    children = [child(claim, child_entry("map", index)) for index in indexes]
    return await ledger.store.spawn(claim, entry, children, first=indexes[0], concurrency=concurrency)


class FamiliesSuite(StoreCase):
    """``spawn``, ``children``, and what every end of a run does for its caller."""

    async def test_a_child_belongs_to_its_caller(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        assert await call(ledger, claim)
        assert await ledger.settle(claim, "waiting")
        (made,) = await ledger.claim()
        assert (made.parent_seq, made.parent_step, made.depth, made.nonce) == (claim.seq, "one", 1, claim.nonce)
        assert made.tenant_id == claim.tenant_id
        assert (await ledger.run(made)).parent_seq == claim.seq
        assert [
            row.seq
            for row in await ledger.store.reads.runs(RunFilter("acme", parent_seq=claim.seq), before=None, count=9)
        ] == [made.seq]
        assert await ledger.store.children(RunKey("acme", claim.seq), after=0, count=9) == [made.seq]
        assert await ledger.store.children(RunKey("globex", claim.seq), after=0, count=9) == []

    @pytest.mark.parametrize("ending", ["completed", "failed", "cancelled"])
    async def test_its_end_makes_the_caller_ready(self, ledger: Driver, ending: State) -> None:
        claim = await begun(ledger)
        await call(ledger, claim)
        await ledger.settle(claim, "waiting")
        (made,) = await ledger.claim()
        await ledger.settle(made, ending, result="[1]" if ending == "completed" else None, error="E: x")
        (again,) = await ledger.claim()
        assert again.seq == claim.seq
        (entry,) = await ledger.store.journal(again)
        assert (entry.name, entry.pending, entry.failed) == ("one", 0, ending != "completed")
        rest = {"result": [1]} if ending == "completed" else {"error": "E: x"}
        assert loads(entry.result or "") == {"run": to_id(made.seq, made.nonce), "state": ending} | rest

    async def test_a_retrying_or_waiting_child_has_not_ended(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call(ledger, claim)
        await ledger.settle(claim, "waiting")
        (made,) = await ledger.claim()
        endings: tuple[State, ...] = ("retrying", "waiting", "queued")
        for state in endings:
            due = None if state == "queued" else ledger.clock.micros()
            await ledger.settle(made, state, due_at=due)
            (made,) = await ledger.claim()
        assert made.parent_seq == claim.seq, "the caller still waits"

    async def test_cancelled_and_expired_children_tell_their_caller_too(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await ledger.listen(subscription("child", "", expires=5.0))
        await call(ledger, claim, "one")
        await call(ledger, claim, "two")
        await ledger.settle(claim, "waiting")
        first, _ = await ledger.store.children(claim.key, after=0, count=9)
        await ledger.store.cancel([RunKey("acme", first)])
        ledger.clock.advance(10)
        await ledger.store.expire()
        again = next(one for one in await ledger.claim() if one.seq == claim.seq)
        states = [loads(entry.result or "")["state"] for entry in await ledger.store.journal(again)]
        assert states == ["cancelled", "expired"]

    async def test_a_child_that_ends_before_its_caller_is_settled_is_not_lost(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call(ledger, claim)
        (made,) = await ledger.claim()
        await ledger.settle(made)
        assert await ledger.settle(claim, "waiting")
        (again,) = await ledger.claim()
        assert again.seq == claim.seq

    async def test_the_last_of_a_group_makes_the_caller_ready(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        assert await call_group(ledger, claim, range(3), 5)
        for made in await ledger.claim():
            await ledger.settle(made, result="1")
        assert await call_group(ledger, claim, range(3, 5), 5), "in portions, with ends between them"
        await ledger.settle(claim, "waiting")
        (one, two) = await ledger.claim()
        await ledger.settle(one, "failed", error="x")
        assert await ledger.claim() == []
        await ledger.settle(two)
        (again,) = await ledger.claim()
        entries = {entry.name: entry for entry in await ledger.store.journal(again)}
        assert list(entries) == ["map", *(child_entry("map", index) for index in range(5))]
        assert entries["map"] == JournalEntry("map", '{"count":5}', 0)
        assert [entry.failed for entry in entries.values()].count(True) == 1

    async def test_no_more_of_a_group_than_wanted_are_ready_at_a_time(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call_group(ledger, claim, range(4), 9, concurrency=3)
        first = await ledger.claim()
        assert len(first) == 3
        await ledger.settle(first[0])
        more = await ledger.claim()
        assert len(more) == 1
        await ledger.settle(first[1])
        await call_group(ledger, claim, range(4, 9), 9, concurrency=3)
        await ledger.settle(claim, "waiting")
        held = [first[2], *more]
        done = 2
        while done < 9:
            held += await ledger.claim()
            assert len(held) == min(3, 9 - done)
            await ledger.settle(held.pop(0))
            done += 1
        (again,) = await ledger.claim()
        assert again.seq == claim.seq

    async def test_a_held_child_that_is_cancelled_makes_room_for_none(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call_group(ledger, claim, range(4), 4, concurrency=1)
        *_, last = await ledger.store.children(claim.key, after=0, count=9)
        await ledger.store.cancel([RunKey("acme", last)])
        await ledger.settle(claim, "waiting")
        for _ in range(3):
            held = await ledger.claim()
            assert held, "somebody of the group is ready"
            for made in held:
                await ledger.settle(made)
        assert [one.seq for one in await ledger.claim()] == [claim.seq]

    async def test_a_lost_attempt_calls_nobody(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await ledger.settle(claim, "queued")
        (again,) = await ledger.claim()
        assert not await call(ledger, claim)
        assert await ledger.store.children(claim.key, after=0, count=9) == []
        assert await ledger.store.journal(again) == []

    async def test_a_caller_that_is_being_cancelled_calls_nobody(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        assert await call_group(ledger, claim, range(3), 6)
        assert await ledger.store.cancel([claim.key]) == 4
        before = await ledger.store.journal(claim)
        with pytest.raises(RunCancelled, match="calls no other runs"):
            await call_group(ledger, claim, range(3, 6), 6)
        with pytest.raises(RunCancelled):
            await call(ledger, claim)
        assert await ledger.store.journal(claim) == before
        assert len(await ledger.store.children(claim.key, after=0, count=9)) == 3
        assert await ledger.settle(claim, "waiting")
        assert await ledger.counts() == {"cancelled": 4}

    async def test_calling_is_all_or_nothing(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        entry = JournalEntry("one", None, 0, pending=1)
        with pytest.raises(InvalidTask, match="nobody"):
            await ledger.store.spawn(claim, entry, [child(claim, "one", "nobody")], first=0, concurrency=None)
        assert await ledger.store.journal(claim) == []
        assert await call(ledger, claim)

    async def test_a_dead_workers_child_ends_when_it_is_done_by_another(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call(ledger, claim)
        await ledger.settle(claim, "waiting")
        seat = await ledger.store.take_seat(("default",), 1, 15.0)
        await ledger.claim(seat=seat)
        await self.bury(ledger.store, seat)
        await ledger.store.rescue(15.0)
        (made,) = await ledger.claim()
        assert made.attempt == 2
        await ledger.settle(made)
        assert [one.seq for one in await ledger.claim()] == [claim.seq]
        await seat.leave()

    async def test_a_retried_caller_retries_the_children_it_failed_for(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call_group(ledger, claim, range(3), 3)
        children = await ledger.claim()
        endings: tuple[State, ...] = ("completed", "failed", "failed")
        for made, ending in zip(children, endings, strict=True):
            await ledger.settle(made, ending, error="x")
        await ledger.store.retry(children[2].key, "default", 0)
        (alone,) = await ledger.claim()
        await ledger.settle(alone, result="2")
        await ledger.settle(claim, "failed", error="x", outcome="failed")
        assert await ledger.store.retry(claim.key, "default", 0)
        claims = {one.seq: one for one in await ledger.claim()}
        assert set(claims) == {claim.seq, children[1].seq}
        entries = {entry.name: entry for entry in await ledger.store.journal(claims[claim.seq])}
        assert entries["map"].pending == 1
        assert loads(entries[child_entry("map", 2)].result or "")["result"] == 2
        await ledger.settle(claims[claim.seq], "waiting")
        await ledger.settle(claims[children[1].seq])
        assert [one.seq for one in await ledger.claim()] == [claim.seq]

    @pytest.mark.parametrize("in_group", [False, True])
    @pytest.mark.parametrize("ended", [False, True])
    async def test_a_retried_caller_sees_how_a_child_retried_alone_stands(
        self, ledger: Driver, in_group: bool, ended: bool
    ) -> None:
        claim = await begun(ledger)
        await (call_group(ledger, claim, range(1), 1) if in_group else call(ledger, claim))
        await ledger.settle(claim, "waiting")
        (made,) = await ledger.claim()
        await ledger.settle(made, "failed", error="x")
        (again,) = await ledger.claim()
        await ledger.settle(again, "failed", error="x", outcome="failed")
        assert await ledger.store.retry(made.key, "default", 0)
        (alone,) = await ledger.claim()
        if ended:
            await ledger.settle(alone, result="2")
        assert await ledger.store.retry(claim.key, "default", 0)
        (caller,) = await ledger.claim()
        assert caller.seq == claim.seq
        if not ended:
            assert [entry.pending for entry in await ledger.store.journal(caller)] == [1] * (1 + in_group)
            await ledger.settle(caller, "waiting")
            await ledger.settle(alone, result="2")
            (caller,) = await ledger.claim()
            assert caller.seq == claim.seq
        entries = await ledger.store.journal(caller)
        assert [(entry.pending, entry.failed) for entry in entries] == [(0, False)] * (1 + in_group)
        assert loads(entries[-1].result or "")["result"] == 2

    async def test_a_retried_caller_retries_simple_children_and_callers_alike(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await call_group(ledger, claim, range(20), 20)
        await ledger.settle(claim, "waiting")
        children = await ledger.claim()
        middle = children[7]
        await call(ledger, middle)
        (grandchild,) = await ledger.claim()
        for made in (grandchild, *children):
            assert await ledger.settle(made, "failed", error="x", outcome="failed")
        (caller,) = await ledger.claim()
        await ledger.settle(caller, "failed", error="x", outcome="failed")
        assert await ledger.store.retry(claim.key, "default", 0)
        again = await ledger.claim()
        assert sorted(one.seq for one in again) == sorted(one.seq for one in (claim, grandchild, *children))
        assert {one.attempt for one in again} == {1}
        calls = [one.seq for one in again if one.parent_seq == claim.seq]
        assert [seq for seq in calls if seq != middle.seq] == sorted(
            one.seq for one in children if one.seq != middle.seq
        )
