"""Wake-ups as events, and taking them back.

An event's data is ids. Its name says which function it starts: one for each queue, or for each task. What isn't understood is never
taken for accepted.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
from collections.abc import Callable, Sequence
from typing import Any, Final, cast

from cgk_jobs.clock import Clock
from cgk_jobs.errors import NotConfigured, ProviderRefused, ProviderUnavailable
from cgk_jobs.providers.calls import as_fields, body_of
from cgk_jobs.providers.provider import Handed, Receipt, Wakeup
from cgk_jobs.wire.http import HttpClient

__all__ = ["dispatch", "withdraw", "withdrawal_event"]

PER_REQUEST: Final = 1_000
"""Of 5,000 the vendor takes; with more it answers 400 after it has taken 5,000."""
FEW: Final = 20
"""Wake-ups up to which each is looked up and cancelled by its run: some requests each."""
AT_ONCE: Final = 10
_ENDED = frozenset({"COMPLETED", "FAILED", "CANCELLED", "OVERFLOWED", "SKIPPED"})
_GOING = frozenset({"RUNNING", "SCHEDULED", "QUEUED"})
_SPLITS = frozenset({400, 413, 422})

EventName = Callable[[Wakeup], str]


def withdrawal_event(app: str) -> str:
    """The event that cancels the function of the wake-up it names."""
    return f"cgk/{app}/withdraw"


async def dispatch(
    http: HttpClient, event_key: str, clock: Clock, name_of: EventName, wakeups: Sequence[Wakeup]
) -> list[Receipt]:
    """Hand over; a receipt for each, in this order.

    Raises ``ProviderUnavailable`` when it is not known which were taken (hand all of them over again), ``NotConfigured``.
    """
    receipts: list[Receipt] = []
    for start in range(0, len(wakeups), PER_REQUEST):
        receipts += await _some(http, event_key, clock, name_of, wakeups[start : start + PER_REQUEST])
    return receipts


async def _some(
    http: HttpClient, event_key: str, clock: Clock, name_of: EventName, wakeups: Sequence[Wakeup]
) -> list[Receipt]:
    try:
        ids = await _post(http, event_key, clock, [_event(wakeup, name_of(wakeup), clock) for wakeup in wakeups])
    except ProviderRefused as refused:
        if refused.status not in _SPLITS:
            raise _unexpected(refused) from None
        if len(wakeups) == 1:
            return [Receipt(wakeups[0].id, refused=f"Inngest refused the event with {refused.status}")]
        # One among them is to blame. The others must not suffer for it.
        middle = len(wakeups) // 2
        return [
            *await _some(http, event_key, clock, name_of, wakeups[:middle]),
            *await _some(http, event_key, clock, name_of, wakeups[middle:]),
        ]
    return [Receipt(wakeup.id, id) for wakeup, id in zip(wakeups, ids, strict=True)]


def _event(wakeup: Wakeup, name: str, clock: Clock) -> dict[str, Any]:
    event: dict[str, Any] = {"id": wakeup.id, "name": name, "data": {**body_of(wakeup), "priority": wakeup.priority}}
    if wakeup.due_at > clock.micros():
        # Milliseconds, rounded up: a wake-up that rings before its run is due finds nothing to do.
        event["ts"] = -(-wakeup.due_at // 1_000)
    return event


async def _post(http: HttpClient, event_key: str, clock: Clock, events: Sequence[dict[str, Any]]) -> list[str]:
    # The same seed for all tries of a call, and for the same events handed over again: the vendor then gives them the same ids.
    digest = hashlib.sha256("\n".join(event["id"] for event in events).encode()).digest()
    seed = f"{clock.micros() // 1_000},{base64.b64encode(digest[:10]).decode()}"
    answer = await http.call(
        "POST",
        "/e/{key}",
        values={"key": event_key},
        # A bare list: an object with "events" is refused.
        json=list(events),
        headers={"x-inngest-event-id-seed": seed},
        # An event's own id removes doubles for a day, so a try whose effect is not known may be repeated.
        idempotent=True,
    )
    ids = as_fields(answer.json).get("ids")
    if not isinstance(ids, list) or len(cast("list[object]", ids)) != len(events):
        raise ProviderUnavailable("Inngest answered events with something unknown; it is not known what was taken")
    if not all(isinstance(id, str) and id for id in cast("list[object]", ids)):
        raise ProviderUnavailable("Inngest answered events with something unknown; it is not known what was taken")
    return cast("list[str]", ids)


async def withdraw(
    http: HttpClient, events: HttpClient, event_key: str, clock: Clock, app: str, handed: Sequence[Handed]
) -> list[bool]:
    """Cancel the runs of these wake-ups and no others; ``True`` where one will not ring.

    A few are cancelled one by one. Of many the vendor is told by events, on which their functions cancel themselves; that it did
    nobody hears, so it is not said: one that rings all the same finds nothing to do.
    """
    if len(handed) > FEW:
        name = withdrawal_event(app)
        for start in range(0, len(handed), PER_REQUEST):
            some = handed[start : start + PER_REQUEST]
            told = [{"id": f"{one.wakeup_id}-back", "name": name, "data": {"wakeup": one.wakeup_id}} for one in some]
            try:
                await _post(events, event_key, clock, told)
            except ProviderRefused as refused:
                raise _unexpected(refused) from None
        return [False] * len(handed)
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: Handed) -> bool:
        async with room:
            return await _cancel(http, item.reference)

    answers = await asyncio.gather(*map(one, handed), return_exceptions=True)
    good: list[bool] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        good.append(answer)
    return good


async def _cancel(http: HttpClient, event: str) -> bool:
    """Whether none of the event's runs will ring. One the vendor does not show yet rings."""
    answer = await http.call("GET", "/v1/events/{event}/runs", values={"event": event}, expect=(404,))
    if answer.status == 404:
        return False
    listed = as_fields(answer.json).get("data")
    if not isinstance(listed, list):
        raise ProviderUnavailable("Inngest answered the runs of an event with something unknown")
    runs = [as_fields(entry) for entry in cast("list[object]", listed)]
    for run in runs:
        id, status = run.get("run_id"), str(run.get("status")).upper()
        if not isinstance(id, str) or status not in _ENDED | _GOING:
            raise ProviderUnavailable("Inngest says an event's run is something that is not known here")
        if status in _GOING:
            # 200 and nothing in it, also for one that has ended meanwhile.
            await http.call("DELETE", "/v1/runs/{run}", values={"run": id}, expect=(404,))
    return bool(runs)


def _unexpected(refused: ProviderRefused) -> Exception:
    if refused.status in (404, 405) or 300 <= refused.status < 400:
        return NotConfigured(f"no Inngest at INNGEST_BASE_URL: {refused}")
    return ProviderUnavailable(f"{refused}: an answer that is not known")
