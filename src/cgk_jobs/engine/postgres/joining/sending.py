"""Storing events in the application's own transaction: committed with what it writes, or not at all.

Nothing waits for what others hold, but for a key somebody else has just taken; the fair order's clocks are not touched.
"""

from __future__ import annotations

import asyncio
import json
from collections.abc import Callable, Sequence
from contextlib import suppress
from typing import Any

from cgk_jobs.engine.postgres.database import QUERIES, Database
from cgk_jobs.engine.postgres.joining.binding import Binding
from cgk_jobs.engine.postgres.joining.connections import LEDGER, UserConnection, recognise
from cgk_jobs.engine.records import NewEvent, Stored
from cgk_jobs.errors import DuplicateKey, InvalidEvent, InvalidTask, ProviderUnavailable, Unsupported
from cgk_jobs.portal import on_callers_thread
from cgk_jobs.wire.ids import Nonces

__all__ = ["JoinedSending"]

FEATURE = "send(connection=…)"
_AT_ONCE = 200
"""Events of one statement, which is planned for few."""
_ROUNDS = 3
"""How often a key is tried that another transaction gives up, or whose time is over, at this moment."""

_Answer = Stored | DuplicateKey


class JoinedSending:
    """Sends on connections of the application. ``committed`` is called on the loop of the send, after the commit, where the
    application's framework tells of it."""

    def __init__(self, database: Database, binding: Binding, committed: Callable[[], None]) -> None:
        self._database = database
        self._binding = binding
        self._committed = committed
        self._nonces = Nonces()

    async def insert(self, connection: Any, events: Sequence[NewEvent]) -> list[_Answer]:
        """Store events in the open transaction of ``connection``. A key used with another payload is answered in its place, and
        nothing of that event stored.

        Raises ``Unsupported``, ``NotConfigured``, ``TenantMismatch``, ``InvalidTask``, ``InvalidEvent`` and
        ``ProviderUnavailable`` before anything is written; what the application's driver raises is passed on.
        """
        for event in events:
            _check_text(event)
        joined = await on_callers_thread(lambda: recognise(connection, FEATURE))
        await joined.require_transaction()
        await self._refuse_awaited(events)
        answers: dict[int, _Answer] = {}
        for tenant_id in dict.fromkeys(event.tenant_id for event in events):
            places = [place for place, event in enumerate(events) if event.tenant_id == tenant_id]
            async with self._binding.bound(joined, tenant_id, FEATURE):
                for start in range(0, len(places), _AT_ONCE):
                    await self._insert(
                        joined, {place: events[place] for place in places[start : start + _AT_ONCE]}, answers
                    )
        if events:
            await joined.after_commit(_on_this_loop(self._committed))
        return [answers[place] for place in range(len(events))]

    async def _refuse_awaited(self, events: Sequence[NewEvent]) -> None:
        # Who waits is woken in the transaction of the send, and a tenant's login can't reach another run.
        names = sorted({event.name for event in events if event.task is None and event.due_at is None})
        awaited = [row["event"] for row in await self._database.rows("awaited_events", names)] if names else []
        if awaited:
            raise Unsupported(
                f"{FEATURE} of {', '.join(awaited)}, which runs wait for (ctx.wait_for),",
                LEDGER,
                "Send it after the commit, with key=.",
            )

    async def _insert(
        self, connection: UserConnection, events: dict[int, NewEvent], answers: dict[int, _Answer]
    ) -> None:
        """Of one tenant. Of several events with one key the first counts."""
        firsts: dict[tuple[str, str], int] = {}
        repeated: dict[int, int] = {}
        for place, event in events.items():
            if event.key is not None:
                first = firsts.setdefault((event.task or event.name, event.key), place)
                if first != place:
                    repeated[place] = first
        waiting = {place: event for place, event in events.items() if place not in repeated}
        for _ in range(_ROUNDS):
            waiting = await self._try(connection, waiting, answers)
            if not waiting:
                break
            await self._forget(list(waiting.values()))
        else:
            raise ProviderUnavailable("a key is taken and given up all the time by others: try the transaction again")
        for place, first in repeated.items():
            known = answers[first]
            same = events[place].payload == events[first].payload
            answers[place] = (
                known._replace(duplicate=True) if same and isinstance(known, Stored) else _two_payloads(events[place])
            )

    async def _try(
        self, connection: UserConnection, events: dict[int, NewEvent], answers: dict[int, _Answer]
    ) -> dict[int, NewEvent]:
        """Store what can be; the events whose keys may be free when they are tried again."""
        nonces = {place: self._nonces.draw() for place in events}
        rows = [_row(place, nonces[place], event) for place, event in events.items()]
        stored = await self._ask(connection, "send_in_transaction", events=rows)
        for place, event_seq, run_seqs in stored or ():
            answers[place] = Stored(event_seq, nonces[place], tuple(run_seqs))
        left = {place: event for place, event in events.items() if place not in answers}
        if not left:
            return left
        keys = [
            {"tenant_id": event.tenant_id, "event": event.task or event.name, "key": event.key}
            for event in left.values()
        ]
        found = {
            (event, key): (payload, Stored(event_seq, nonce, tuple(run_seqs), duplicate=True), over)
            for event, key, payload, event_seq, nonce, run_seqs, over in await self._ask(
                connection, "find_keys_in_transaction", keys=keys
            )
        }
        again: dict[int, NewEvent] = {}
        for place, event in left.items():
            if event.key is None:
                raise InvalidTask(
                    f"no process has declared a task {event.task!r}: start the application that has it once"
                )
            known = found.get((event.task or event.name, event.key))
            if known is None or known[2]:
                again[place] = event
            else:
                answers[place] = known[1] if known[0] == event.payload else _two_payloads(event)
        return again

    async def _ask(self, connection: UserConnection, name: str, **values: object) -> Any:
        # ASCII, with everything else escaped: no encoding of a connection changes it.
        row = await connection.row(QUERIES[name], json.dumps({"now": self._database.now, **values}))
        if row is None:
            raise ProviderUnavailable("the connection gave no answer: is it one to PostgreSQL?")
        return None if row[0] is None else json.loads(row[0])

    async def _forget(self, events: Sequence[NewEvent]) -> None:
        """Delete keys whose time is over: the application's login must not, so the engine does, in a transaction of its own."""
        columns = zip(*[(event.tenant_id, event.task or event.name, event.key) for event in events], strict=True)
        await self._database.run("forget_keys", self._database.now, *map(list, columns))


def _row(place: int, nonce: int, event: NewEvent) -> dict[str, object]:
    return {
        "place": place,
        "nonce": nonce,
        "tenant_id": event.tenant_id,
        "name": event.name,
        "version": event.version,
        "payload": event.payload,
        "task": event.task,
        "due_at": event.due_at,
        "key": event.key,
        "key_until": event.key_until,
        "lane": event.priority,
        "expires": event.expires,
        "tags": event.tags,
    }


def _check_text(event: NewEvent) -> None:
    # The database would refuse it in the middle of the application's transaction, which would then have failed.
    for what, text in (("key", event.key or ""), ("tags", event.tags)):
        if "\0" in text or any("\ud800" <= character <= "\udfff" for character in text):
            raise InvalidEvent(
                f"{what}={text!r} has a character that PostgreSQL can't store: leave NUL and surrogates out"
            )


def _two_payloads(event: NewEvent) -> DuplicateKey:
    return DuplicateKey(
        f"key {event.key!r} of {event.name or event.task} was used with another payload: a key names one event; choose another key"
    )


def _on_this_loop(call: Callable[[], None]) -> Callable[[], None]:
    """``call``, from whichever thread, on the loop that runs now; nothing once it is closed: it is only a hint."""
    loop = asyncio.get_running_loop()

    def later() -> None:
        with suppress(RuntimeError):
            loop.call_soon_threadsafe(call)

    return later
