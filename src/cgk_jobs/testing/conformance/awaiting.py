"""Waiting for events: found whether sent before or after, once for each wait, by whoever waits, within one tenant."""

from __future__ import annotations

from typing import Any

import pytest

from cgk_jobs.engine.records import Claim, NewEvent, RunKey
from cgk_jobs.runtime.entries import EventWait, JournalEntry
from cgk_jobs.testing.conformance.case import Driver, StoreCase, subscription
from cgk_jobs.wire.json import loads

__all__ = ["AwaitingSuite"]


async def waiting(
    ledger: Driver, claim: Claim, name: str = "w", *, wanted: str = '["1"]', fields: str = "id", after: int = -1
) -> JournalEntry | None:
    """Begin a wait for ``paid`` as a handler would."""
    wait = EventWait("paid", fields, wanted, claim.event_seq if after < 0 else after)
    return await ledger.store.await_event(claim, JournalEntry(name, '{"until":null}', 0, pending=1), wait)


async def begun(ledger: Driver, tenant_id: str = "acme") -> Claim:
    """A claimed run."""
    stored = await ledger.send(tenant_id)
    return next(claim for claim in await ledger.claim() if claim.seq == stored.run_seqs[0])


def payload_of(entry: JournalEntry | None) -> Any:
    """The payload a wait was answered with, or ``None``."""
    assert entry is not None
    return None if entry.pending else loads(entry.result or "{}")["payload"]


class AwaitingSuite(StoreCase):
    """``await_event``, ``end_wait``, and what ``insert`` does for those who wait."""

    async def test_a_later_event_makes_the_run_ready(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        assert payload_of(await waiting(ledger, claim)) is None
        assert await ledger.settle(claim, "waiting")
        await ledger.send(name="paid", payload='{"id":"2"}')
        await ledger.send(name="paid", payload='{"other":"1"}')
        await ledger.send("globex", name="paid", payload='{"id":"1"}')
        assert await ledger.claim() == []
        stored = await ledger.send(name="paid", payload='{"id":"1","cents":5}')
        await ledger.send(name="paid", payload='{"id":"1","cents":6}')
        (again,) = await ledger.claim()
        (entry,) = await ledger.store.journal(again)
        assert loads(entry.result or "") == {
            "event": "paid",
            "seq": stored.event_seq,
            "nonce": stored.nonce,
            "version": 1,
            "payload": {"id": "1", "cents": 5},
        }
        assert (entry.pending, entry.failed) == (0, False)

    async def test_an_event_that_comes_before_the_run_is_settled_is_not_lost(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim)
        await ledger.send(name="paid", payload='{"id":"1"}')
        assert await ledger.settle(claim, "waiting", due_at=ledger.clock.micros() + 10**12)
        assert (await ledger.run(claim)).due_at is None
        (again,) = await ledger.claim()
        assert again.seq == claim.seq
        assert await ledger.settle(again, "waiting")
        assert await ledger.claim() == [], "it was made ready once for it"

    @pytest.mark.parametrize("listened", [True, False])
    @pytest.mark.parametrize("known", [True, False])
    async def test_an_event_sent_before_the_wait_is_found(self, ledger: Driver, listened: bool, known: bool) -> None:
        if listened:
            await ledger.listen(subscription("pay", "paid"), subscription("pay2", "paid"))
        if known:
            await waiting(ledger, await begun(ledger))
        await ledger.send(name="paid", payload='{"id":"1","n":0}')
        claim = await begun(ledger)
        await ledger.send("globex", name="paid", payload='{"id":"1","n":1}')
        await ledger.send(name="paid", payload='{"id":"2","n":2}')
        third = await ledger.send(name="paid", payload='{"id":"1","n":3}')
        await ledger.send(name="paid", payload='{"id":"1","n":4}')
        assert payload_of(await waiting(ledger, claim, "first"))["n"] == 3
        assert payload_of(await waiting(ledger, claim, "second", after=third.event_seq))["n"] == 4
        assert payload_of(await waiting(ledger, claim, "third", after=third.event_seq + 10**6)) is None

    async def test_what_has_not_happened_for_everybody_is_no_answer(self, ledger: Driver) -> None:
        await ledger.listen(subscription("pay", "paid"))
        claim = await begun(ledger)
        for _ in range(2):
            await ledger.send(name="paid", payload='{"id":"1"}', delay=60)
            await ledger.send(name="paid", payload='{"id":"1"}', task="pay")
            assert payload_of(await waiting(ledger, claim, f"w{_}")) is None
        until = ledger.clock.micros() + 10**9
        first = await ledger.send(name="paid", payload='{"id":"9"}', key="k", key_until=until)
        await ledger.send(name="paid", payload='{"id":"9"}', key="k", key_until=until)
        assert payload_of(await waiting(ledger, claim, "a", wanted='["9"]')) is not None
        assert payload_of(await waiting(ledger, claim, "b", wanted='["9"]', after=first.event_seq)) is None

    async def test_fields_together_and_none(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim, "both", fields="at,id", wanted='[1.5,"1"]')
        await waiting(ledger, claim, "any", fields="", wanted="[]", after=10**18)
        await ledger.send(name="paid", payload='{"id":"1","at":2.5}')
        first, second = await ledger.store.journal(claim)
        assert {first.name: first.pending, second.name: second.pending} == {"any": 0, "both": 1}
        await ledger.send(name="paid", payload='{"id":"1","at":1.5}')
        assert [entry.pending for entry in await ledger.store.journal(claim)] == [0, 0]

    async def test_everybody_who_waits_is_answered(self, ledger: Driver) -> None:
        claims = [await begun(ledger) for _ in range(5)]
        for claim in claims:
            await waiting(ledger, claim)
            await ledger.settle(claim, "waiting")
        await ledger.send(name="paid", payload='{"id":"1"}')
        assert {claim.seq for claim in await ledger.claim()} == {claim.seq for claim in claims}

    async def test_two_events_of_one_transaction_answer_once(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim)
        await ledger.settle(claim, "waiting")
        await ledger.store.insert([NewEvent("acme", "paid", 1, f'{{"id":"1","n":{number}}}') for number in range(3)])
        (again,) = await ledger.claim()
        (entry,) = await ledger.store.journal(again)
        assert payload_of(entry)["n"] == 0

    async def test_a_wait_ends_unless_its_event_has_come(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim, "over")
        ended = await ledger.store.end_wait(claim, "over", '{"error":"no"}')
        assert ended == JournalEntry("over", '{"error":"no"}', 0, failed=True)
        await waiting(ledger, claim, "came")
        await ledger.send(name="paid", payload='{"id":"1"}')
        assert payload_of(await ledger.store.end_wait(claim, "came", '{"error":"no"}')) == {"id": "1"}
        came = await ledger.store.end_wait(claim, "came", "{}")
        assert payload_of(came) == {"id": "1"}, "what has ended stays so"
        assert set(await ledger.store.journal(claim)) == {ended, came}

    async def test_a_lost_attempt_neither_waits_nor_ends_a_wait(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim)
        await ledger.settle(claim, "queued")
        (again,) = await ledger.claim()
        assert await waiting(ledger, claim, "late") is None
        assert await ledger.store.end_wait(claim, "w", "{}") is None
        assert [entry.pending for entry in await ledger.store.journal(again)] == [1]

    async def test_a_finished_run_is_not_woken(self, ledger: Driver) -> None:
        claim = await begun(ledger)
        await waiting(ledger, claim)
        await ledger.settle(claim, "waiting")
        await ledger.store.cancel([RunKey("acme", claim.seq)])
        await ledger.send(name="paid", payload='{"id":"1"}')
        assert await ledger.claim() == []
        assert await ledger.state(claim) == "cancelled"
