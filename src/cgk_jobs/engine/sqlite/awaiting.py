"""Runs that wait for events. A send pays for this only if some run has ever waited for an event of that name."""

from __future__ import annotations

import sqlite3
from typing import NamedTuple

from cgk_jobs.clock import Clock
from cgk_jobs.engine.records import Claim, NewEvent
from cgk_jobs.engine.sqlite.configuration import Configuration
from cgk_jobs.engine.sqlite.database import QUERIES
from cgk_jobs.engine.sqlite.families import Families
from cgk_jobs.engine.sqlite.journal import JournalBook
from cgk_jobs.engine.sqlite.sending import Inbox
from cgk_jobs.runtime.entries import EventWait, JournalEntry
from cgk_jobs.runtime.matching import wanted_in
from cgk_jobs.wire.json import dumps

__all__ = ["WaitBook"]


class _Found(NamedTuple):
    """An event: its number, random part, version and payload."""

    seq: int
    nonce: int
    version: int
    payload: str


class WaitBook:
    """Waits, and the marks that events of awaited names leave so that a wait begun later finds them."""

    def __init__(
        self,
        db: sqlite3.Connection,
        clock: Clock,
        configuration: Configuration,
        inbox: Inbox,
        journal: JournalBook,
        families: Families,
    ) -> None:
        self._db = db
        self._clock = clock
        self._configuration = configuration
        self._inbox = inbox
        self._journal = journal
        self._families = families

    def begin(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> JournalEntry | None:
        """Journal a wait, answered if its event was sent already. ``None``: the attempt lost its run."""
        self._inbox.write()
        if not self._journal.holds(claim):
            return None
        found = self._look_back(claim.tenant_id, wait)
        if found is not None:
            entry = entry._replace(result=_result(wait.event, *found), pending=0)
        else:
            values = (claim.tenant_id, wait.event, wait.fields, wait.wanted, claim.seq, entry.name)
            self._db.execute(QUERIES["insert_wait"], values)
        return entry if self._journal.write(claim, entry) else None

    def _look_back(self, tenant_id: str, wait: EventWait) -> _Found | None:
        known = self._configuration.awaited.get(wait.event, {}).get(wait.fields)
        if known is None:
            known = self._inbox.last_seq
            self._db.execute(QUERIES["insert_awaited"], (wait.event, wait.fields, known))
            self._configuration.changed()
        if wait.after_seq < known:
            values = {"tenant": tenant_id, "event": wait.event, "after": wait.after_seq, "last": known}
            for row in self._db.execute(QUERIES["scan_events"], values):
                found = _Found(*row)
                if wanted_in(found.payload, wait.fields) == wait.wanted:
                    return found
        key = (tenant_id, wait.event, wait.fields, wait.wanted)
        after = wait.after_seq
        while True:
            mark = self._db.execute(QUERIES["find_mark"], (*key, after)).fetchone()
            if mark is None:
                return None
            after, run_seq = mark
            name, seq = ("read_unrouted", after) if run_seq is None else ("read_event", run_seq)
            row = self._db.execute(QUERIES[name], (seq,)).fetchone()
            if row is not None:
                return _Found(*row)

    def end(self, claim: Claim, name: str, result: str) -> JournalEntry | None:
        """Finish a wait whose time is over, unless its event has come. ``None``: the attempt lost its run."""
        if not self._journal.holds(claim):
            return None
        self._journal.finish(claim.seq, name, result, failed=True)
        self._db.execute(QUERIES["delete_wait"], (claim.seq, name))
        return self._journal.entry(claim.seq, name)

    def sent(self, event: NewEvent, event_seq: int, nonce: int, run_seq: int | None) -> None:
        """An event of an awaited name was stored: leave its marks, and answer the waits it fits."""
        for fields in self._configuration.awaited[event.name]:
            wanted = wanted_in(event.payload, fields)
            if wanted is None:
                continue
            key = (event.tenant_id, event.name, fields, wanted)
            self._db.execute(QUERIES["insert_mark"], (*key, event_seq, run_seq))
            waiting = self._db.execute(QUERIES["find_waits"], key).fetchall()
            if not waiting:
                continue
            result = _result(event.name, event_seq, nonce, event.version, event.payload)
            for waiter, step in waiting:
                if self._journal.finish(waiter, step, result, failed=False):
                    self._families.wake(waiter)
            self._db.execute(QUERIES["delete_answered_waits"], key)


def _result(event: str, event_seq: int, nonce: int, version: int, payload: str) -> str:
    return (
        dumps({"event": event, "seq": event_seq, "nonce": nonce, "version": version})[:-1] + f',"payload":{payload}}}'
    )
