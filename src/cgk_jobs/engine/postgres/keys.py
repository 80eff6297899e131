"""Idempotency keys and ticks: which events of an insert are new, and what the others were stored as."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.errors import DuplicateKey

__all__ = ["KeyBook"]

_Mark = tuple[str, str, str | int]
"""Tenant, event or task, and the key or the tick's moment."""

_Known = Callable[[Sequence[Stored]], Stored]
"""From what this insert stored to what an event that isn't new was stored as."""


class KeyBook:
    """Takes keys in the transaction of the insert: a second sender of a key waits for the first to commit."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def open(self, work: Work, events: Sequence[NewEvent]) -> tuple[list[NewEvent], list[_Known | None]]:
        """The events to be stored, and for each event given ``None`` if it is one of them, else where its answer is.

        Raises ``DuplicateKey`` for one key with two payloads.
        """
        marks = [_mark(event) for event in events]
        # Of several with one key the first counts.
        keyed: dict[_Mark, NewEvent] = {}
        ticking: dict[_Mark, NewEvent] = {}
        for mark, event in zip(marks, events, strict=True):
            if mark is not None:
                (keyed if event.key is not None else ticking).setdefault(mark, event)
        found: dict[_Mark, Stored] = {}
        if keyed:
            await self._take_keys(work, keyed, found)
        if ticking:
            await self._take_ticks(work, ticking, found)
        fresh: list[NewEvent] = []
        answers: list[_Known | None] = []
        places: dict[_Mark, int] = {}
        for mark, event in zip(marks, events, strict=True):
            if mark is not None and event.key is not None and event.payload != keyed[mark].payload:
                raise _two_payloads(event)
            if mark is not None and mark in found:
                answers.append(_constant(found[mark]))
            elif mark is not None and mark in places:
                answers.append(_repeated(places[mark]))
            else:
                if mark is not None:
                    places[mark] = len(fresh)
                fresh.append(event)
                answers.append(None)
        return fresh, answers

    async def _take_keys(self, work: Work, keyed: dict[_Mark, NewEvent], found: dict[_Mark, Stored]) -> None:
        columns = list(zip(*keyed, strict=True))
        values = list(keyed.values())
        rows = await work.rows(
            "claim_keys", self._database.now, *columns, [event.payload for event in values],
            [event.key_until for event in values],
        )  # fmt: skip
        taken = {tuple(row) for row in rows}
        lost = [mark for mark in keyed if mark not in taken]
        if not lost:
            return
        for row in await work.rows("find_keys", *zip(*lost, strict=True)):
            tenant_id, event_name, key, payload, event_seq, nonce, run_seqs, run_nonces = row
            event = keyed[tenant_id, event_name, key]
            if payload != event.payload:
                raise _two_payloads(event)
            found[tenant_id, event_name, key] = Stored(
                event_seq, nonce, tuple(run_seqs), True, None if run_nonces is None else tuple(run_nonces)
            )

    async def _take_ticks(self, work: Work, ticking: dict[_Mark, NewEvent], found: dict[_Mark, Stored]) -> None:
        taken = {tuple(row) for row in await work.rows("claim_ticks", *zip(*ticking, strict=True))}
        lost = [mark for mark in ticking if mark not in taken]
        if not lost:
            return
        for tenant_id, task, tick_at, event_seq, run_seq, nonce in await work.rows(
            "find_ticks", *zip(*lost, strict=True)
        ):
            found[tenant_id, task, tick_at] = Stored(event_seq, nonce, (run_seq,), duplicate=True)

    async def _keep_key(self, work: Work, event: NewEvent, stored: Stored) -> None:
        mark = _mark(event) or ()
        if stored.refused is not None:
            await work.run("forget_key", *mark)
            return
        nonces = None if stored.nonces is None else list(stored.nonces)
        await work.run("fill_key", *mark, stored.event_seq, stored.nonce, list(stored.run_seqs), nonces)

    async def close(self, work: Work, events: Sequence[NewEvent], stored: Sequence[Stored]) -> None:
        """Note what the new events became, and their tags."""
        ticks: list[tuple[object, ...]] = []
        tags: list[tuple[str, str, int]] = []
        for event, one in zip(events, stored, strict=True):
            if event.key is not None:
                await self._keep_key(work, event, one)
            if event.tick_at is not None:
                ticks.append((*(_mark(event) or ()), one.event_seq, one.run_seqs[0], one.nonce))
            if event.tags and not (one.duplicate or one.refused):
                tags += [(event.tenant_id, tag, seq) for tag in event.tags.split(",") for seq in one.run_seqs]
        if ticks:
            await work.run("fill_ticks", *zip(*ticks, strict=True))
        if tags:
            await work.run("insert_tags", *zip(*tags, strict=True))


def _mark(event: NewEvent) -> _Mark | None:
    name = event.task or event.name
    if event.key is not None:
        return event.tenant_id, name, event.key
    return None if event.tick_at is None else (event.tenant_id, name, event.tick_at)


def _two_payloads(event: NewEvent) -> DuplicateKey:
    return DuplicateKey(
        f"key {event.key!r} of {event.name} was used with another payload: a key names one event; choose another key"
    )


def _constant(stored: Stored) -> _Known:
    return lambda _: stored


def _repeated(place: int) -> _Known:
    return lambda done: done[place]._replace(duplicate=True)
