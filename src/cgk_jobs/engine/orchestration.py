"""What a ledger must be able to do for workflows: the journal of a run, its children, the events it waits for.

A run waits without worker and slot: state ``waiting``, due at the moment its wait ends, or never. What it waits for makes it
ready in the transaction that brings it: the settlement of its last child, the send of its event. A run that is not yet
settled as waiting is marked then, and its settlement makes it ready instead (``woken``; a claim takes the mark away).
"""

from __future__ import annotations

from collections.abc import Awaitable, Sequence
from contextlib import AbstractAsyncContextManager
from typing import Any, Protocol

from cgk_jobs.engine.records import Claim, NewEvent, RunKey
from cgk_jobs.runtime.entries import EventWait, JournalEntry

__all__ = ["Orchestration", "StepTransaction"]


class StepTransaction(Protocol):
    """A transaction of the user's own connection."""

    async def record(self, entry: JournalEntry) -> bool:
        """Journal the step as the transaction's last statement. False: the attempt lost its run."""
        ...


class Orchestration(Protocol):
    """The verbs. Those of an attempt carry its claim and write nothing once it has lost its run."""

    # the journal

    def record_step(
        self,
        claim: Claim,
        name: str,
        result: str | None,
        *,
        place: int | None = None,
        ordered: bool = False,
        undoable: bool = False,
        failed: bool = False,
        pending: int = 0,
    ) -> Awaitable[bool]:
        """Journal a step (JSON), or write one anew that was pending. ``place`` ``None``: after the last.

        False: the attempt lost its run, or the step is finished already.
        """
        ...

    def journal(self, claim: Claim) -> Awaitable[list[JournalEntry]]:
        """Every entry of the claim's run, by place."""
        ...

    def step_transaction(self, connection: Any, claim: Claim) -> AbstractAsyncContextManager[StepTransaction]:
        """A transaction on the user's connection, in which a step's writes and its journal entry are committed together.

        It begins with the block, is committed at its end, and rolled back where the block raises. Raises ``Unsupported``
        before anything else if the connection does not lead to this ledger's database.
        """
        ...

    # events

    def await_event(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> Awaitable[JournalEntry | None]:
        """Journal a wait. The first event that was sent since ``wait.after_seq`` answers at once; else the entry is pending.

        Every event of the tenant counts that was sent for now, not to one task alone, and no duplicate. A later one
        finishes the entry and makes the run ready in its own transaction; to each run that waits for it. Sends of events
        nobody ever waited for must not pay for this. ``None``: the attempt lost its run.

        A finished entry's result is ``{"event", "seq", "nonce", "version", "payload"}``.
        """
        ...

    def end_wait(self, claim: Claim, name: str, result: str) -> Awaitable[JournalEntry | None]:
        """Finish a pending wait as failed, unless its event has come; the entry as it stands. ``None``: the run was lost."""
        ...

    # children

    def spawn(
        self, claim: Claim, entry: JournalEntry, children: Sequence[NewEvent], *, first: int, concurrency: int | None
    ) -> Awaitable[bool]:
        """Make runs for their parent, and the entries that wait for their outcomes, in one transaction.

        Each has ``parent`` set. Of a group, ``entry`` is the group's own and ``pending`` its whole size; ``first`` is the
        index of the first of these children in it (above 0: the group's entry is there already). Of a child called alone,
        ``entry`` is the child's. ``concurrency``: at most so many of the group are ready or running at a time; the others
        are held (``family:…``), and each that ends frees the next. False: the attempt lost its run. Raises ``RunCancelled``
        if somebody asked to cancel it: its children of before have been cancelled, and it makes no more.

        When a child ends, for good or bad, its entry becomes ``{"run", "state", "result" or "error"}`` in the same
        transaction, and when the last of a group does, the group's entry is finished and the parent is made ready.
        """
        ...

    def children(self, run: RunKey, *, after: int, count: int) -> Awaitable[list[int]]:
        """The numbers of the runs this one called, rising, from the first above ``after``."""
        ...
