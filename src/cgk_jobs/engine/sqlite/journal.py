"""The journal of runs: what an attempt writes, what later ones read, and what a retry by hand opens again."""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence

from cgk_jobs.clock import Clock
from cgk_jobs.engine.records import Claim
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.runtime.entries import JournalEntry

__all__ = ["JournalBook"]


class JournalBook:
    """Entries of the table ``steps``."""

    def __init__(self, db: sqlite3.Connection, clock: Clock) -> None:
        self._db = db
        self._clock = clock

    def holds(self, claim: Claim) -> bool:
        """Whether the attempt still holds its run."""
        return self._db.execute(QUERIES["holds_run"], (claim.seq, claim.token)).fetchone() is not None

    def record(self, claim: Claim, name: str, result: str | None, place: int | None, **marks: int) -> bool:
        """Write an entry, or one anew that was pending. False: the attempt lost its run, or the entry is finished."""
        return write_entry(self._db, self._clock.micros(), claim, name, result, place, **marks)

    def write(self, claim: Claim, entry: JournalEntry) -> bool:
        """As :meth:`record`."""
        name, result, place, ordered, undoable, failed, pending = entry
        marks = {"ordered": ordered, "undoable": undoable, "failed": failed, "pending": pending}
        return self.record(claim, name, result, place, **marks)

    def entries(self, claim: Claim) -> list[JournalEntry]:
        """Every entry of the claim's run, by place."""
        return [_entry(row) for row in self._db.execute(QUERIES["read_journal"], (claim.seq, claim.tenant_id))]

    def entry(self, run_seq: int, name: str) -> JournalEntry | None:
        """One entry of a run."""
        row = self._db.execute(QUERIES["read_entry"], (run_seq, name)).fetchone()
        return None if row is None else _entry(row)

    def steps(self, claim: Claim) -> dict[str, str | None]:
        """The finished steps of the claim's run: results by name."""
        return {entry.name: entry.result for entry in self.entries(claim) if not entry.pending}

    def finish(self, run_seq: int, name: str, result: str, *, failed: bool) -> bool:
        """Finish a pending entry of a run, whoever holds it. False: it was finished already, or is not there."""
        values = (result, failed, self._clock.micros(), run_seq, name)
        return self._db.execute(QUERIES["finish_entry"], values).rowcount == 1

    def count_down(self, run_seq: int, name: str) -> int | None:
        """One outcome less to wait for; how many are left, or ``None`` if the entry waits for none."""
        row = self._db.execute(QUERIES["count_down"], (self._clock.micros(), run_seq, name)).fetchone()
        return None if row is None else int(row[0])

    def pending(self, run_seq: int, name: str) -> int:
        """How many outcomes an entry waits for."""
        row = self._db.execute(QUERIES["pending_of"], (run_seq, name)).fetchone()
        return 0 if row is None else int(row[0])

    def reserve(self, claim: Claim, names: list[str], place: int) -> None:
        """Write pending entries that wait for one outcome each, from ``place`` on."""
        now = self._clock.micros()
        rows = [(claim.seq, name, claim.tenant_id, place + offset, now) for offset, name in enumerate(names)]
        self._db.executemany(QUERIES["insert_child_entry"], rows)

    def failed(self, run_seq: int) -> list[tuple[str, str, int]]:
        """Name, result and place of every failed entry."""
        return self._db.execute(QUERIES["failed_entries"], (run_seq,)).fetchall()

    def reopen(self, entries: Sequence[tuple[int, bool, int, str]]) -> None:
        """Let finished entries wait for more outcomes: how many, whether the result is kept, the run's number, the name.

        Without a result an entry is as if it had only been asked for.
        """
        self._db.executemany(QUERIES["reopen_entry"], entries)

    def loosen_after(self, run_seq: int, place: int) -> None:
        """What follows this place may be asked for in another order: an outcome before it will change."""
        self._db.execute(QUERIES["loosen_steps"], (run_seq, place))

    def clear(self, run_seq: int) -> None:
        """Forget the journal of a run."""
        self._db.execute(QUERIES["delete_steps"], (f"[{run_seq}]",))


def write_entry(
    db: sqlite3.Connection, now: int, claim: Claim, name: str, result: str | None, place: int | None, **marks: int
) -> bool:
    """Write an entry under its claim, on whatever connection to the ledger."""
    values = {
        "seq": claim.seq, "token": claim.token, "name": name, "result": result, "place": place, "now": now,
        "ordered": 0, "undoable": 0, "failed": 0, "pending": 0,
    }  # fmt: skip
    return db.execute(QUERIES["record_step"], values | marks).rowcount == 1


def _entry(row: tuple[str, str | None, int, int, int, int, int]) -> JournalEntry:
    name, result, place, ordered, undoable, failed, pending = row
    return JournalEntry(name, result, place, bool(ordered), bool(undoable), bool(failed), pending)
