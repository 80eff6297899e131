"""Runs that wait for events. A send pays for this only if some run has ever waited for an event of that name.

Which names those are is a setting every process knows (``configuration.py``). Their events are stored in a transaction that
holds a shared lock of tenant and event, so that whoever begins to wait, which takes the lock alone, either is found by the
sender or finds the event. The very first wait of its kind lets the senders finish that did not know of it yet.
"""

from __future__ import annotations

import asyncio
from collections.abc import Iterable, Mapping, Sequence
from typing import Any, NamedTuple

from cgk_jobs.clock import monotonic
from cgk_jobs.engine.postgres import journal
from cgk_jobs.engine.postgres.charging import targets_of
from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.families import Families, Sleepers
from cgk_jobs.engine.records import Claim, NewEvent, RunKey, Stored
from cgk_jobs.runtime.entries import EventWait, JournalEntry
from cgk_jobs.runtime.matching import wanted_in
from cgk_jobs.wire.json import dumps

__all__ = ["Expected", "Fact", "WaitBook"]

_BUCKETS = 1024
"""Locks that stand for all tenants and events: a server has some thousands for all its transactions."""
_SCANNED_AT_ONCE = 500
_OLD_SENDERS_FOR = 30.0
"""Seconds old senders are waited for. Their transactions take milliseconds; one that hangs is ended by the server."""

_Key = tuple[str, str, str, str]
"""Tenant, event, names of fields, and the values they have."""


class Fact(NamedTuple):
    """An event that has been stored: its number and random part, and a run that keeps its payload, if any does."""

    tenant_id: str
    event: str
    version: int
    payload: str
    seq: int
    nonce: int
    run_seq: int | None


class Expected(NamedTuple):
    """Who waits for events that are about to be stored. All their rows are held."""

    waits: Mapping[_Key, Sequence[tuple[int, str]]]
    sleepers: Sleepers


class WaitBook:
    """Waits, and the marks that events of awaited names leave so that a wait begun later finds them."""

    def __init__(self, database: Database, configuration: Configuration, families: Families) -> None:
        self._database = database
        self._configuration = configuration
        self._families = families
        self._settled: set[tuple[str, str]] = set()

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def begin(self, claim: Claim, entry: JournalEntry, wait: EventWait) -> JournalEntry | None:
        """Journal a wait, answered if its event was sent already. ``None``: the attempt lost its run."""
        await self._make_known(wait)

        async def verb(work: Work) -> JournalEntry | None:
            await work.rows("hold_event", _lock_name(claim.tenant_id, wait.event), _BUCKETS)
            if await work.row("holds_run", *claim.key, claim.token) is None:
                return None
            found = await self._look_back(work, claim.tenant_id, wait)
            begun = entry if found is None else entry._replace(result=_result(found), pending=0)
            if not await journal.record(work, self._database.now, claim, **begun._asdict()):
                return None
            if found is None:
                key = (claim.tenant_id, wait.event, wait.fields, wait.wanted)
                await work.run("insert_wait", *key, claim.seq, entry.name)
            return begun

        return await self._database.retried(verb)

    async def end(self, claim: Claim, name: str, result: str) -> JournalEntry | None:
        """Finish a wait whose time is over, unless its event has come. ``None``: the attempt lost its run."""

        async def verb(work: Work) -> JournalEntry | None:
            if await work.row("holds_run", *claim.key, claim.token) is None:
                return None
            rows = [(claim.tenant_id, claim.seq, name, result, True)]
            await work.rows("finish_entries", self._database.now, *zip(*rows, strict=True))
            await work.run("delete_wait", *claim.key, name)
            row = await work.row("read_entry", *claim.key, name)
            return None if row is None else JournalEntry(*row)

        return await self._database.retried(verb)

    async def _make_known(self, wait: EventWait) -> None:
        """See that every sender leaves marks for this kind of wait."""
        kind = (wait.event, wait.fields)
        if kind in self._settled:
            return
        if not self._is_known(wait):
            await self._configuration.refresh(self._database)
        if not self._is_known(wait):

            async def verb(work: Work) -> None:
                await self._configuration.changed(work)
                await work.run("insert_awaited", self._database.now, *kind)

            await self._database.retried(verb)
            await self._configuration.refresh(self._database)
        # Whoever looked at the settings before must have committed before anybody looks back.
        until = monotonic() + _OLD_SENDERS_FOR
        transactions: list[str] | None = None
        while monotonic() < until:
            rows = await self._database.rows("old_senders", transactions)
            transactions = [row["transaction"] for row in rows]
            if not transactions:
                break
            await asyncio.sleep(0.005)
        self._settled.add(kind)

    def _is_known(self, wait: EventWait) -> bool:
        return wait.fields in self._configuration.awaited.get(wait.event, {})

    async def _look_back(self, work: Work, tenant_id: str, wait: EventWait) -> Fact | None:
        """The first event after ``wait.after_seq`` that fits, if it was sent already."""
        found: list[Fact] = []
        since = self._configuration.awaited[wait.event][wait.fields]
        after = wait.after_seq
        while after < since:
            rows = await work.rows("scan_events", tenant_id, wait.event, after, since, _SCANNED_AT_ONCE)
            fits = [row for row in rows if wanted_in(row["payload"], wait.fields) == wait.wanted]
            found += [_fact(tenant_id, wait.event, row) for row in fits[:1]]
            if fits or len(rows) < _SCANNED_AT_ONCE:
                break
            after = rows[-1]["event_seq"]
        key = (tenant_id, wait.event, wait.fields, wait.wanted)
        row = await work.row("find_marked", *key, wait.after_seq)
        if row is not None:
            found.append(_fact(tenant_id, wait.event, row))
        return min(found, key=lambda fact: fact.seq, default=None)

    # -- sending -----------------------------------------------------------------------------------------------------

    def concerned(self, events: Sequence[NewEvent]) -> bool:
        """Whether one of these may be waited for. A look into memory."""
        return bool(self._configuration.awaited) and any(self._is_awaited(event) for event in events)

    def _is_awaited(self, event: NewEvent) -> bool:
        # One sent to a task alone, or for later, has not happened for everybody.
        if event.name not in self._configuration.awaited or event.task is not None:
            return False
        now = self._database.now
        return event.due_at is None or (now is not None and event.due_at <= now)

    async def expect(self, work: Work, events: Iterable[NewEvent]) -> Expected:
        """Lock who waits for events that the caller is about to store."""
        return await self.lock(
            work, [(event.tenant_id, event.name, event.payload) for event in events if self._is_awaited(event)]
        )

    async def lock(self, work: Work, events: Sequence[tuple[str, str, str]], more: Iterable[RunKey] = ()) -> Expected:
        """Lock who waits for events (tenant, name and payload), with further runs."""
        await self.share(work, events)
        keys = {key for tenant_id, name, payload in events for key in self._keys(tenant_id, name, payload)}
        waits: dict[_Key, list[tuple[int, str]]] = {}
        if keys:
            for *key, run_seq, step in await work.rows("find_waits", *zip(*sorted(keys), strict=True)):
                waits.setdefault((key[0], key[1], key[2], key[3]), []).append((run_seq, step))
        runs = [RunKey(key[0], run_seq) for key, found in waits.items() for run_seq, _ in found]
        return Expected(waits, await self._families.lock(work, [*runs, *more]))

    async def share(self, work: Work, events: Iterable[tuple[str, str, str]]) -> None:
        """Take the locks of events (tenant, name and payload) with other senders: nobody begins to wait for them now."""
        names = sorted({_lock_name(tenant_id, name) for tenant_id, name, _ in events})
        if names:
            await work.rows("share_events", names, _BUCKETS)

    async def stored(self, work: Work, expected: Expected, events: Sequence[NewEvent], stored: Sequence[Stored]) -> int:
        """Events were stored by the caller: leave their marks, and answer the waits they fit. Returns how many runs became
        ready."""
        facts: list[Fact] = []
        apart: list[Fact] = []
        for event, one in zip(events, stored, strict=True):
            if one.refused is not None or not self._is_awaited(event):
                continue
            fact = Fact(event.tenant_id, event.name, event.version, event.payload, one.event_seq, one.nonce, None)
            if any(target.flow for target in targets_of(self._configuration, event)):
                # A run of a task with flow control may keep another payload, or be another event's.
                apart.append(fact)
            elif one.run_seqs:
                fact = fact._replace(run_seq=one.run_seqs[0])
            facts.append(fact)
        if apart:
            rows = [(fact.seq, fact.nonce, fact.version, fact.tenant_id, fact.event, fact.payload) for fact in apart]
            await work.run("keep_unrouted", self._database.now, *zip(*rows, strict=True))
        return await self.answer(work, expected, facts)

    async def answer(self, work: Work, expected: Expected, facts: Sequence[Fact]) -> int:
        """Leave the marks of events, and answer the waits they fit with the first of them; how many runs became ready."""
        marks: dict[tuple[_Key, int], Fact] = {}
        for fact in facts:
            for key in self._keys(fact.tenant_id, fact.event, fact.payload):
                marks.setdefault((key, fact.seq), fact)
        if not marks:
            return 0
        rows = [(*key, seq, fact.run_seq) for (key, seq), fact in marks.items()]
        new = {((*row[:4],), row[4]) for row in await work.rows("insert_marks", *zip(*rows, strict=True))}
        firsts: dict[_Key, Fact] = {}
        for mark, fact in marks.items():
            if mark in new and mark[0] in expected.waits:
                firsts.setdefault(mark[0], fact)
        answers = [
            (key[0], run_seq, step, _result(fact), False)
            for key, fact in firsts.items()
            for run_seq, step in expected.waits[key]
        ]
        if not answers:
            return 0
        finished = await work.rows("finish_entries", self._database.now, *zip(*sorted(answers), strict=True))
        await work.run("delete_answered_waits", *zip(*sorted(firsts), strict=True))
        woken = {RunKey(row["tenant_id"], row["run_seq"]) for row in finished}
        return await self._families.wake(work, expected.sleepers, woken)

    def _keys(self, tenant_id: str, event: str, payload: str) -> list[_Key]:
        """What runs may wait for that get this event."""
        found = [(fields, wanted_in(payload, fields)) for fields in self._configuration.awaited.get(event, {})]
        return [(tenant_id, event, fields, wanted) for fields, wanted in found if wanted is not None]


def _lock_name(tenant_id: str, event: str) -> str:
    return f"{tenant_id} {event}"


def _fact(tenant_id: str, event: str, row: Any) -> Fact:
    return Fact(tenant_id, event, row["version"], row["payload"], row["event_seq"], row["nonce"], None)


def _result(fact: Fact) -> str:
    known = dumps({"event": fact.event, "seq": fact.seq, "nonce": fact.nonce, "version": fact.version})
    return f'{known[:-1]},"payload":{fact.payload}}}'
