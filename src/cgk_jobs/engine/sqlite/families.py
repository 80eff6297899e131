"""Runs and the runs they call: made together, told of each other's end in the transaction that ends them."""

from __future__ import annotations

import sqlite3
from collections.abc import Callable, Sequence

from cgk_jobs.engine.flow import calls_nobody
from cgk_jobs.engine.records import Claim, NewEvent, RunKey
from cgk_jobs.engine.sqlite.claiming import Desk
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.journal import JournalBook
from cgk_jobs.engine.sqlite.sending import Inbox
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.errors import RunCancelled
from cgk_jobs.runtime.entries import JournalEntry, group_of
from cgk_jobs.wire.ids import parse_id, to_id
from cgk_jobs.wire.json import dumps, loads

__all__ = ["Families"]


class Families:
    """Parents and children. ``released`` rises whenever a run is made ready here; its owner sets it to 0."""

    def __init__(
        self, db: sqlite3.Connection, configuration: Configuration, inbox: Inbox, desk: Desk, journal: JournalBook
    ) -> None:
        self._db = db
        self._configuration = configuration
        self._inbox = inbox
        self._desk = desk
        self._journal = journal
        self.released = 0

    # -- making children ---------------------------------------------------------------------------------------------

    def spawn(
        self, claim: Claim, entry: JournalEntry, children: Sequence[NewEvent], *, first: int, concurrency: int | None
    ) -> bool | RunCancelled:
        """Make children and the entries that wait for them; see the boundary."""
        self._inbox.write()
        if self._desk.is_cancel_asked(claim):
            return calls_nobody(claim)
        if not self._journal.holds(claim) or (first == 0 and not self._journal.write(claim, entry)):
            return False
        names = [child.parent.step for child in children if child.parent is not None]
        if names != [entry.name]:
            self._journal.reserve(claim, names, entry.place + 1 + first)
        if concurrency is not None:
            children = self._held_beyond(claim, entry, children, first, concurrency)
        self._inbox.insert(children)
        return True

    def _held_beyond(
        self, claim: Claim, entry: JournalEntry, children: Sequence[NewEvent], first: int, concurrency: int
    ) -> list[NewEvent]:
        hold = _hold(claim.seq, entry.name)
        (held,) = self._db.execute(QUERIES["count_held"], (hold,)).fetchone()
        ended = entry.pending - self._journal.pending(claim.seq, entry.name)
        room = max(concurrency - (first - ended - held), 0)
        return [
            child if place < room or child.parent is None else child._replace(parent=child.parent._replace(hold=hold))
            for place, child in enumerate(children)
        ]

    def children(self, run: RunKey, *, after: int, count: int) -> list[int]:
        """The numbers of the runs this one called, rising."""
        return [row[0] for row in self._db.execute(QUERIES["list_children"], (run.seq, run.tenant_id, after, count))]

    # -- their end ---------------------------------------------------------------------------------------------------

    def ended(self, seq: int) -> None:
        """A run has ended: if another one called it, tell it. Called in the transaction that ends it, after the write."""
        row = self._db.execute(QUERIES["read_outcome"], (seq,)).fetchone()
        if row is None or row[0] is None:
            return
        parent, step, held_by, nonce, state, result, error = row
        if held_by is not None:
            # It never had a place among those at work, so it leaves none.
            self._db.execute(QUERIES["park_run"], (None, seq))
        run_id = to_id(seq, nonce)
        if state == "completed":
            outcome = f'{{"run":"{run_id}","state":"completed","result":{"null" if result is None else result}}}'
        else:
            outcome = dumps({"run": run_id, "state": state, "error": error})
        if not self._journal.finish(parent, step, outcome, failed=state != "completed"):
            return
        group = group_of(step)
        if group is not None:
            if held_by is None:
                self._release_next(_hold(parent, group))
            if self._journal.count_down(parent, group) != 0:
                return
        self.wake(parent)

    def _release_next(self, hold: str) -> None:
        for seq, tenant_id, queue, lane, _, _ in self._db.execute(QUERIES["held_runs"], (hold, 1)).fetchall():
            self._desk.make_ready(seq, tenant_id, queue, lane)
            self.released += 1

    def wake(self, seq: int) -> None:
        """What a run waits for is there: make it ready, or note it for the settlement that would let it wait."""
        row = self._db.execute(QUERIES["find_sleeper"], (seq,)).fetchone()
        if row is None:
            return
        tenant_id, task, queue, lane, state = row
        if state == "waiting":
            known = self._configuration.tasks
            self._desk.make_ready(seq, tenant_id, known[task].queue if task in known else queue, lane)
            self.released += 1
        elif state == "running":
            self._db.execute(QUERIES["mark_woken"], (seq,))

    # -- again -------------------------------------------------------------------------------------------------------

    def reopen(self, run: RunKey, retry: Callable[[str, Sequence[int]], set[int]]) -> None:
        """Before a run is retried by hand: what failed for good in its journal is done again, children by ``retry``.

        A child that has been retried by itself since answers: if it is completed, at once, else at its end.
        """
        failing = self._db.execute(QUERIES["failing_of"], (run.seq, run.tenant_id)).fetchone()
        if failing is None:
            return
        if failing[0] is not None:
            # Its steps were undone: none of them may answer any more.
            self._journal.clear(run.seq)
            self._db.execute(QUERIES["delete_waits"], (f"[{run.seq}]",))
            return
        failed = [
            (name, parse_id(loads(result).get("run", "")), place)
            for name, result, place in self._journal.failed(run.seq)
        ]
        again = retry(run.tenant_id, [child[0] for _, child, _ in failed if child is not None])
        opened: list[tuple[int, bool, int, str]] = []
        groups: dict[str, int] = {}
        completed: list[int] = []
        first: int | None = None
        for name, child, place in failed:
            if child is not None and child[0] not in again:
                state = self._state(child[0])
                if state == "completed":
                    completed.append(child[0])
                elif state is None or state in FINAL:
                    continue
            opened.append((1, child is not None, run.seq, name))
            group = group_of(name)
            if group is not None:
                groups[group] = groups.get(group, 0) + 1
            first = place if first is None else min(first, place)
        self._journal.reopen(opened + [(count, True, run.seq, group) for group, count in groups.items()])
        for seq in completed:
            self.ended(seq)
        if first is not None:
            self._journal.loosen_after(run.seq, first)

    def _state(self, seq: int) -> State | None:
        row = self._db.execute(QUERIES["read_outcome"], (seq,)).fetchone()
        return None if row is None else row[4]


def _hold(parent_seq: int, group: str) -> str:
    return f"family:{parent_seq}:{group}"
