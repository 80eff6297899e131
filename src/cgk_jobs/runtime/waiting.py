"""Sleeping, and waiting for an event: the run is suspended without slot, and the journal remembers how it ended."""

from __future__ import annotations

from collections.abc import Callable
from typing import TYPE_CHECKING, Any

from cgk_jobs.clock import from_micros
from cgk_jobs.errors import InvalidEvent, Unsupported, WaitTimeout
from cgk_jobs.events.codec import decode
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, seconds
from cgk_jobs.runtime.entries import EventWait, JournalEntry
from cgk_jobs.runtime.matching import Match, fields_of
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.json import dumps, loads

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["LONGEST_WAIT", "sleep_until", "wait_for", "wait_seconds"]

LONGEST_WAIT = 100 * 366 * 86_400.0
"""Seconds a run may sleep or wait."""


def wait_seconds(duration: Duration, what: str) -> float:
    """Seconds of a wait. Raises ``InvalidEvent`` for less than 0 or more than a hundred years."""
    wait = seconds(duration)
    if not 0 <= wait < LONGEST_WAIT:
        raise InvalidEvent(f"{what}({duration!r}): zero or more seconds, at most a hundred years")
    return wait


async def sleep_until(ctx: Context, chosen: Callable[[], int]) -> None:
    """Suspend until a moment, chosen when the sleep is first come to."""
    history = ctx.history
    history.refuse_inside("a sleep")
    asked = await history.ask("sleep")
    if asked.entry is not None and asked.entry.result is not None:
        until = int(asked.entry.result)
    else:
        until = chosen()
        with history.at_work():
            await history.write(history.entry_of(asked, str(until)))
    if until > ctx.services.clock.micros() and not history.unwinding:
        await history.park(until)


async def wait_for(ctx: Context, cls: type[Event], match: Match, timeout: Duration | None, name: str | None) -> Event:
    """The event; see ``Context.wait_for``."""
    history = ctx.history
    history.refuse_inside("ctx.wait_for")
    if ctx.tenant_id == PLATFORM:
        raise Unsupported(
            "ctx.wait_for",
            "a run of the installation itself",
            "Events belong to tenants: wait in a run of the tenant's own.",
        )
    fields, wanted = fields_of(cls, match, ctx.event)
    limit = None if timeout is None else wait_seconds(timeout, "wait_for(timeout=…)")
    asked = await history.ask(name or cls.event_name)
    kind = (cls.event_name, fields, wanted)
    entry = asked.entry
    if entry is None or (entry.pending and entry.result is None):
        now = ctx.services.clock.micros()
        until = None if limit is None else now + round(limit * 1e6)
        new = history.entry_of(asked, dumps({"until": until}), pending=1)
        wait = EventWait(*kind, history.received.get(kind, ctx.claim.event_seq))
        with history.at_work():
            entry = _landed(ctx, await ctx.services.journal.await_event(ctx.claim, new, wait), asked.name)
    if entry.pending:
        until = loads(entry.result or "{}").get("until")
        if until is None or until > ctx.services.clock.micros():
            await history.park(until)
        outcome = dumps({"error": f"no {cls.event_name} came until {from_micros(until):%Y-%m-%d %H:%M:%S} UTC"})
        with history.at_work():
            entry = _landed(ctx, await ctx.services.journal.end_wait(ctx.claim, asked.name, outcome), asked.name)
    answer: dict[str, Any] = loads(entry.result or "{}")
    if entry.failed:
        raise history.answered(WaitTimeout(f"{answer.get('error')}. Catch WaitTimeout to go on without it"))
    history.received[kind] = answer["seq"]
    return decode(cls, answer["version"], dumps(answer["payload"]))


def _landed(ctx: Context, entry: JournalEntry | None, name: str) -> JournalEntry:
    if entry is None:
        raise ctx.history.lost(f"the wait {name!r}")
    ctx.history.note(entry)
    return entry
