"""The vendor's clock: one schedule that rings once a minute, or, if wished, one for each schedule of the application.

Either rings the same address, which looks at what is due by the ledger. A missed or doubled ring changes nothing.
"""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from typing import Any, NamedTuple, cast

from cgk_jobs.errors import NotConfigured, ProviderUnavailable, Unsupported
from cgk_jobs.providers.provider import Plan
from cgk_jobs.wire.http import HttpAnswer, HttpClient
from cgk_jobs.wire.json import dumps

__all__ = ["CLOCK_PATH", "clock_trouble", "prefix_of", "sync_schedules"]

CLOCK_PATH = "/providers/qstash/clock"
SLOW_RING = 300.0
"""Seconds between rings of the clock where each schedule has a ring of its own."""
_EVEN_MINUTES = (1, 2, 3, 4, 5, 6, 10, 12, 15, 20, 30, 60)
"""What an hour can be divided by: ``*/7`` would ring after four minutes at its end."""


class _Entry(NamedTuple):
    id: str
    cron: str
    body: str


async def sync_schedules(
    http: HttpClient, plan: Plan, public_url: str, *, each: bool, retries: int, request_limit: float
) -> list[str]:
    """Make the vendor's schedules those of ``plan``. A line for each thing changed.

    Only schedules of this application that lead to this address are ever removed. Raises ``Unsupported`` for a task that
    may take longer than a call, ``NotConfigured`` if ``plan`` is for another public address.
    """
    if plan.public_url is not None and plan.public_url.rstrip("/") != public_url:
        raise NotConfigured(
            "the application and its QStash provider were given two public addresses: set JOBS_PUBLIC_URL"
        )
    too_long = [task for task in plan.tasks if task.timeout > request_limit]
    if too_long:
        raise Unsupported(
            f"timeout={too_long[0].timeout:g} of task {too_long[0].id!r}",
            "qstash",
            f"A call lasts {request_limit:g} s at most: give it a shorter timeout, raise request_limit= if your plan and host "
            "allow longer ones, or run its queue with another provider.",
        )
    destination = public_url + CLOCK_PATH
    there = {id: entry for id, entry in await _listed(http) if entry.get("destination") == destination}
    changes: list[str] = []
    wanted = {entry.id: entry for entry in _entries(plan, each)}
    for entry in wanted.values():
        known = there.get(entry.id)
        if known is None or known.get("body") != entry.body:
            await _put(http, entry, destination, retries)
            changes.append(f"QStash schedule {entry.id}: {entry.cron}{'' if known is None else ' (changed)'}")
        if known is not None and known.get("isPaused"):
            await _resume(http, entry.id)
            changes.append(f"QStash schedule {entry.id}: resumed")
    for id in sorted(there.keys() - wanted.keys()):
        if id.startswith(prefix_of(plan.app)):
            await http.call("DELETE", "/v2/schedules/{id}", values={"id": id}, expect=(404,))
            changes.append(f"QStash schedule {id}: removed")
    return changes


async def clock_trouble(http: HttpClient, app: str, public_url: str) -> str:
    """What is wrong with the clock of ``app``, empty if nothing is."""
    ours = [
        entry
        for id, entry in await _listed(http)
        if id.startswith(prefix_of(app)) and entry.get("destination") == public_url + CLOCK_PATH
    ]
    if not ours:
        return "QStash has no clock for this application: schedules and overdue runs wait; run cgk setup:jobs"
    if all(entry.get("isPaused") for entry in ours):
        return "the clock of this application is paused at QStash: resume it in the console, or run cgk setup:jobs"
    return ""


def _entries(plan: Plan, each: bool) -> Iterator[_Entry]:
    every = plan.ring_every
    if each:
        for tick in plan.ticks:
            # An id has letters, digits and -_. alone; what sets two schedules apart is in the digest.
            digest = hashlib.sha256("\0".join(tick).encode()).hexdigest()[:16]
            yield _entry(f"{prefix_of(plan.app)}tick-{digest}", f"CRON_TZ={tick.timezone} {tick.expression}")
        # The relay and the overdue sweep need a ring too, though not so often.
        every = max(every, SLOW_RING)
    yield _entry(f"{prefix_of(plan.app)}clock", f"CRON_TZ=UTC {_cron(every)}")


def _cron(seconds: float) -> str:
    minutes = max(every for every in _EVEN_MINUTES if every <= max(1, round(seconds / 60)))
    return {1: "* * * * *", 60: "0 * * * *"}.get(minutes, f"*/{minutes} * * * *")


def _entry(id: str, cron: str) -> _Entry:
    # The vendor may write an expression differently than it was given: the body says what was asked for.
    return _Entry(id, cron, dumps({"v": 1, "clock": cron}))


def prefix_of(app: str) -> str:
    """Of what an application has at the vendor by name: of letters, digits and - alone, whatever the application is called."""
    return f"cgk-{hashlib.sha256(app.encode()).hexdigest()[:8]}-"


async def _listed(http: HttpClient) -> list[tuple[str, dict[str, Any]]]:
    found: object = (await http.call("GET", "/v2/schedules")).json
    if not isinstance(found, list):
        raise ProviderUnavailable("QStash answered the list of schedules with something unknown")
    entries = [cast(dict[str, Any], entry) for entry in cast(list[object], found) if isinstance(entry, dict)]
    return [(id, entry) for entry in entries if isinstance(id := entry.get("scheduleId"), str)]


async def _put(http: HttpClient, entry: _Entry, destination: str, retries: int) -> None:
    answer = await http.call(
        "POST",
        "/v2/schedules/{+destination}",
        values={"destination": destination},
        content=entry.body.encode(),
        headers={
            "Content-Type": "application/json",
            "Upstash-Cron": entry.cron,
            "Upstash-Method": "POST",
            "Upstash-Schedule-Id": entry.id,
            # The next ring does what a lost one would have done.
            "Upstash-Retries": str(min(retries, 1)),
        },
        idempotent=True,
        expect=(412,),
    )
    if answer.status == 412:
        raise Unsupported(
            "one more of the schedules at QStash",
            "its plan",
            "Their number is used up: remove some in its console, or leave JOBS_QSTASH_SCHEDULE_EACH unset, as one clock does.",
        )
    said: object = answer.json
    if not isinstance(said, dict) or cast(dict[str, Any], said).get("scheduleId") != entry.id:
        raise ProviderUnavailable(f"QStash answered the schedule {entry.id} with something unknown")


async def _resume(http: HttpClient, id: str) -> HttpAnswer:
    path, values = "/v2/schedules/{id}/resume", {"id": id}
    answer = await http.call("POST", path, values=values, idempotent=True, expect=(404, 405))
    if answer.status in (404, 405):
        # The vendor's description says POST, its own libraries send PATCH.
        answer = await http.call("PATCH", path, values=values, idempotent=True)
    return answer
