"""The journal of steps, as the runtime wants it, over a store."""

from __future__ import annotations

from contextlib import AbstractAsyncContextManager
from typing import Any

from cgk_jobs.engine.orchestration import StepTransaction
from cgk_jobs.engine.records import Claim, NewEvent, Parent
from cgk_jobs.engine.store import Store
from cgk_jobs.runtime.entries import ChildCall, EventWait, JournalEntry, child_entry

__all__ = ["StoreJournal"]


class StoreJournal:
    """Steps, waits, calls and progress, written under the claim of their attempt."""

    def __init__(self, store: Store) -> None:
        self._store = store

    async def load(self, claim: Claim) -> list[JournalEntry]:
        """The journal of the claim's run."""
        return await self._store.journal(claim)

    async def record(self, claim: Claim, entry: JournalEntry) -> bool:
        """Write an entry."""
        name, result, place, ordered, undoable, failed, pending = entry
        return await self._store.record_step(
            claim, name, result, place=place, ordered=ordered, undoable=undoable, failed=failed, pending=pending
        )

    async def progress(self, claim: Claim, progress: str) -> bool:
        """Write how far the attempt is."""
        return await self._store.write_progress(claim, progress)

    async def metadata(self, claim: Claim, changes: str) -> bool:
        """Merge fields into the run's metadata."""
        return await self._store.write_metadata(claim, changes)

    def step_transaction(self, connection: Any, claim: Claim) -> AbstractAsyncContextManager[StepTransaction]:
        """A transaction on the user's connection that writes the step's entry too."""
        return self._store.step_transaction(connection, claim)

    async def await_event(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> JournalEntry | None:
        """Journal a wait, answered if its event has been sent."""
        return await self._store.await_event(claim, entry, wait)

    async def end_wait(self, claim: Claim, name: str, result: str) -> JournalEntry | None:
        """End a wait whose time is over."""
        return await self._store.end_wait(claim, name, result)

    async def spawn(
        self, claim: Claim, entry: JournalEntry, calls: list[ChildCall], *, first: int, concurrency: int | None
    ) -> bool:
        """Make a run for each call. One call whose entry is its own is a child called alone."""
        alone = entry.result is None
        children = [
            NewEvent(
                claim.tenant_id, call.event, call.version, call.payload, call.task,
                parent=Parent(
                    claim.seq, claim.nonce, entry.name if alone else child_entry(entry.name, first + offset), claim.depth + 1
                ),
                nonce=claim.nonce,
            )
            for offset, call in enumerate(calls)
        ]  # fmt: skip
        return await self._store.spawn(claim, entry, children, first=first, concurrency=concurrency)
