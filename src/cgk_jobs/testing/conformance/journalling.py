"""The journal of a run: entries, their order, what is pending, and what a retry or replay makes of them."""

from __future__ import annotations

from cgk_jobs.engine.records import NewEvent, RunKey
from cgk_jobs.runtime.entries import JournalEntry
from cgk_jobs.testing.conformance.case import Driver, StoreCase

__all__ = ["JournallingSuite"]


class JournallingSuite(StoreCase):
    """``record_step``, ``journal``, ``steps``, and being undone."""

    async def test_entries_come_back_as_they_were_written(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        store = ledger.store
        assert await store.journal(claim) == []
        assert await store.record_step(claim, "b", None, place=1, ordered=True, undoable=True)
        assert await store.record_step(claim, "a", '"x"', place=0)
        assert await store.record_step(claim, "c", '{"error":"no"}', failed=True)
        assert await store.journal(claim) == [
            JournalEntry("a", '"x"', 0),
            JournalEntry("b", None, 1, ordered=True, undoable=True),
            JournalEntry("c", '{"error":"no"}', 2, failed=True),
        ]
        assert await store.steps(claim) == {"a": '"x"', "b": None, "c": '{"error":"no"}'}
        steps = await store.reads.steps(claim.key)
        assert [(step.name, step.failed, step.pending) for step in steps] == [
            ("a", False, False),
            ("b", False, False),
            ("c", True, False),
        ]

    async def test_what_is_pending_is_written_anew_and_what_is_finished_is_not(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        store = ledger.store
        assert await store.record_step(claim, "pay", '{"tries":1}', place=0, ordered=True, pending=1)
        assert await store.steps(claim) == {}
        assert [step.pending for step in await store.reads.steps(claim.key)] == [True]
        assert await store.record_step(claim, "pay", '{"tries":2}', place=5, pending=1)
        assert await store.record_step(claim, "pay", '"paid"', place=5, undoable=True)
        assert not await store.record_step(claim, "pay", '"twice"', place=5)
        assert await store.journal(claim) == [JournalEntry("pay", '"paid"', 0, ordered=True, undoable=True)]

    async def test_a_lost_attempt_writes_no_entry(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        await ledger.store.record_step(claim, "pay", "1", pending=1)
        await ledger.settle(claim, "queued")
        (again,) = await ledger.claim()
        assert not await ledger.store.record_step(claim, "pay", "2")
        assert await ledger.store.record_step(again, "pay", "3")

    async def test_a_replay_copies_what_is_finished(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        for name, pending in (("one", 0), ("two", 1), ("three", 0)):
            await ledger.store.record_step(claim, name, "1", ordered=True, undoable=True, pending=pending)
        await ledger.settle(claim)
        event = NewEvent("acme", "placed", 1, "{}", "sync", replay_of=claim.seq, nonce=claim.nonce)
        stored = await ledger.store.replay(event, claim.seq, "three")
        assert stored.nonce == claim.nonce, "each id leads to the other"
        (copy,) = await ledger.claim()
        assert await ledger.store.journal(copy) == [JournalEntry("one", "1", 0, ordered=True, undoable=True)]

    async def test_a_run_that_is_undone_says_so_until_it_is_retried(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        assert claim.failing is None
        await ledger.store.record_step(claim, "pay", "1", undoable=True)
        now = ledger.clock.micros()
        assert await ledger.settle(
            claim, "waiting", due_at=now, failing="ValueError: no", error="ValueError: no", outcome="failed"
        )
        (again,) = await ledger.claim()
        assert (again.failing, again.attempt) == ("ValueError: no", 1)
        await ledger.settle(again, "waiting", due_at=now)
        (again,) = await ledger.claim()
        assert again.failing == "ValueError: no", "it stays so over every suspension"
        await ledger.settle(again, "failed", error="ValueError: no", outcome="failed")
        assert (await ledger.run(again)).failing == "ValueError: no"
        assert await ledger.store.retry(RunKey("acme", claim.seq), "default", 0)
        (anew,) = await ledger.claim()
        assert anew.failing is None
        assert await ledger.store.journal(anew) == [], "what was undone does not answer any more"

    async def test_a_retry_opens_again_what_had_failed_for_good(self, ledger: Driver) -> None:
        await ledger.send()
        (claim,) = await ledger.claim()
        store = ledger.store
        for name, failed in (("one", False), ("two", True), ("three", False)):
            await store.record_step(claim, name, '{"error":"no"}', ordered=True, failed=failed)
        await ledger.settle(claim, "failed", error="x", outcome="failed")
        await store.retry(claim.key, "default", 0)
        (again,) = await ledger.claim()
        assert await store.journal(again) == [
            JournalEntry("one", '{"error":"no"}', 0, ordered=True),
            JournalEntry("two", None, 1, ordered=True, pending=1),
            JournalEntry("three", '{"error":"no"}', 2),
        ]
