"""Wake-ups as runs of the generated tasks, and taking them back.

A run's payload is ids. A few wake-ups are triggered one by one, and the vendor names each run; many go in a batch, whose answer
names none. So each run has its wake-up as a tag, by which it is found again. What isn't understood is never taken for accepted.
"""

from __future__ import annotations

import asyncio
import re
import uuid
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, Final, TypeVar, cast

from cgk_jobs.clock import Clock, from_micros
from cgk_jobs.errors import NotConfigured, ProviderRefused, ProviderUnavailable
from cgk_jobs.providers.calls import as_fields, body_of
from cgk_jobs.providers.provider import Handed, Receipt, Wakeup
from cgk_jobs.providers.trigger_dev.states import state_of, will_not_ring
from cgk_jobs.wire.http import HttpAnswer, HttpClient

__all__ = ["CLOCK_PATH", "PATH", "dispatch", "options_of", "withdraw"]

PATH = "/providers/trigger_dev"
CLOCK_PATH = "/providers/trigger_dev/clock"

PER_BATCH: Final = 500
SINGLES: Final = 5
"""Wake-ups up to which each is triggered by itself: one request each, against two for a batch of any size."""
AT_ONCE: Final = 10
"""Requests at a time."""
PER_LIST: Final = 25
"""Tags in one address, which then has some 1,200 characters."""
KEPT: Final = "7d"
"""How long the vendor removes doubles of a wake-up. Handed over again later, it rings twice, which is harmless."""

_RUN = re.compile(r"run_[A-Za-z0-9_-]{1,200}", re.ASCII)
_BATCH = re.compile(r"batch_[A-Za-z0-9_-]{1,200}", re.ASCII)
_REFUSALS = (400, 413, 422)
_PASSES = re.compile(r"queue size|limit|quota|credits|too many|try again", re.IGNORECASE)
"""In a refusal that the same request need not meet later."""

T = TypeVar("T")
R = TypeVar("R")


async def dispatch(http: HttpClient, clock: Clock, wakeups: Sequence[Wakeup]) -> list[Receipt]:
    """Hand over; a receipt for each, in this order.

    Raises ``ProviderUnavailable`` when it is not known which were taken (hand all of them over again), ``NotConfigured``.
    """
    receipts: list[Receipt] = []
    for start in range(0, len(wakeups), PER_BATCH):
        receipts += await _some(http, clock, wakeups[start : start + PER_BATCH])
    return receipts


async def _some(http: HttpClient, clock: Clock, wakeups: Sequence[Wakeup]) -> list[Receipt]:
    if len(wakeups) <= SINGLES:
        return await _each(wakeups, lambda wakeup: _trigger(http, clock, wakeup))
    try:
        batch = await _batch(http, clock, wakeups)
    except ProviderRefused as refused:
        if refused.status not in _REFUSALS:
            raise _unexpected(refused) from None
        # One among them is to blame. The others must not suffer for it.
        middle = len(wakeups) // 2
        return [*await _some(http, clock, wakeups[:middle]), *await _some(http, clock, wakeups[middle:])]
    if batch is None:
        return await _each(wakeups, lambda wakeup: _trigger(http, clock, wakeup))
    return [Receipt(wakeup.id, batch) for wakeup in wakeups]


def options_of(wakeup: Wakeup, clock: Clock) -> dict[str, Any]:
    """The vendor's options of a wake-up's run, all of them: what stands beside ``options`` is dropped without a word."""
    options: dict[str, Any] = {
        "concurrencyKey": wakeup.tenant_key,
        "idempotencyKey": wakeup.id,
        "idempotencyKeyTTL": KEPT,
        "tags": [f"tenant:{wakeup.tenant_key}", f"wakeup:{wakeup.id}"],
    }
    if wakeup.priority > 0:
        # Seconds of head start.
        options["priority"] = wakeup.priority
    if wakeup.due_at > clock.micros():
        # A date: the vendor knows durations, but none in milliseconds, and takes one it can't read for none at all.
        # Never early: a wake-up that rings before its run is due finds nothing to do.
        due = from_micros(-(-wakeup.due_at // 1000) * 1000)
        options["delay"] = due.isoformat(timespec="milliseconds").replace("+00:00", "Z")
    return options


async def _trigger(http: HttpClient, clock: Clock, wakeup: Wakeup) -> Receipt:
    answer = await http.call(
        "POST",
        "/api/v1/tasks/{task}/trigger",
        values={"task": wakeup.task},
        json={"payload": body_of(wakeup), "options": options_of(wakeup, clock)},
        headers=_once(),
        # The ids remove doubles, so a try whose effect is not known may be repeated.
        idempotent=True,
        expect=(404, *_REFUSALS),
    )
    said = as_fields(answer.json)
    if 200 <= answer.status < 300:
        run = said.get("id")
        if isinstance(run, str) and _RUN.fullmatch(run):
            return Receipt(wakeup.id, run)
        raise ProviderUnavailable(
            "Trigger.dev answered a trigger with something unknown; it is not known what was taken"
        )
    error = said.get("error")
    if not isinstance(error, str):
        raise NotConfigured(
            f"no Trigger.dev at TRIGGER_API_URL: a trigger was answered {answer.status} without its form"
        )
    if _PASSES.search(error):
        raise ProviderUnavailable("Trigger.dev takes no more runs for now: a limit of its plan may be reached")
    if answer.status == 404:
        return Receipt(
            wakeup.id, refused="Trigger.dev has no such task: run cgk jobs trigger-dev generate, and deploy the project"
        )
    return Receipt(wakeup.id, refused=f"Trigger.dev refused the run with {answer.status}; its dashboard may say why")


async def _batch(http: HttpClient, clock: Clock, wakeups: Sequence[Wakeup]) -> str | None:
    """The batch's id; ``None`` from an older server, which has no such batches. Raises ``ProviderRefused``."""
    answer = await http.call(
        "POST",
        "/api/v3/batches",
        json={"runCount": len(wakeups)},
        headers=_once(),
        idempotent=True,
        expect=(404, 405, *_REFUSALS),
    )
    if answer.status in (404, 405):
        return None
    _refuse_or_go_on(answer, "a batch")
    batch = as_fields(answer.json).get("id")
    if not isinstance(batch, str) or not _BATCH.fullmatch(batch):
        raise ProviderUnavailable("Trigger.dev answered a batch with something unknown")
    items = [
        {"index": index, "task": wakeup.task, "payload": body_of(wakeup), "options": options_of(wakeup, clock)}
        for index, wakeup in enumerate(wakeups)
    ]
    answer = await http.call(
        "POST",
        "/api/v3/batches/{batch}/items",
        values={"batch": batch},
        ndjson=items,
        headers=_once(),
        # Lines that came before are told by their index.
        idempotent=True,
        expect=_REFUSALS,
    )
    _refuse_or_go_on(answer, "the items of a batch")
    if as_fields(answer.json).get("sealed") is not True:
        raise ProviderUnavailable("Trigger.dev has not got all of a batch; it is not known what was taken")
    return batch


def _refuse_or_go_on(answer: HttpAnswer, what: str) -> None:
    if answer.status not in _REFUSALS:
        return
    error = as_fields(answer.json).get("error")
    if isinstance(error, str) and _PASSES.search(error):
        raise ProviderUnavailable("Trigger.dev takes no more runs for now: a limit of its plan may be reached")
    raise ProviderRefused(f"Trigger.dev refused {what} with {answer.status}", status=answer.status)


async def withdraw(http: HttpClient, handed: Sequence[Handed]) -> list[bool]:
    """Cancel the runs of these wake-ups and no others; ``True`` where one will not ring.

    A run of a batch that the vendor's list does not show yet is left: it rings, and its wake-up does nothing.
    """
    runs = {item.wakeup_id: item.reference for item in handed if _RUN.fullmatch(item.reference)}
    gone: dict[str, bool] = {}
    unnamed = [item.wakeup_id for item in handed if item.wakeup_id not in runs]
    for start in range(0, len(unnamed), PER_LIST):
        found = await _find(http, unnamed[start : start + PER_LIST])
        for wakeup, (run, ended) in found.items():
            if ended:
                gone[wakeup] = True
            else:
                runs[wakeup] = run
    names = list(runs)
    answers = await _each(names, lambda wakeup: _cancel(http, runs[wakeup]))
    gone |= dict(zip(names, answers, strict=True))
    return [gone.get(item.wakeup_id, False) for item in handed]


async def _find(http: HttpClient, wakeups: Sequence[str]) -> dict[str, tuple[str, bool]]:
    """Run and whether it has ended, by wake-up: one that has several has the one that has not ended."""
    tags = {f"wakeup:{wakeup}": wakeup for wakeup in wakeups}
    answer = await http.call("GET", "/api/v1/runs", query=[("filter[tag]", ",".join(tags)), ("page[size]", "100")])
    listed = as_fields(answer.json).get("data")
    if not isinstance(listed, list):
        raise ProviderUnavailable("Trigger.dev answered the list of runs with something unknown")
    found: dict[str, tuple[str, bool]] = {}
    for one in cast("list[object]", listed):
        fields = as_fields(one)
        run, has = fields.get("id"), fields.get("tags")
        if not isinstance(run, str) or not _RUN.fullmatch(run) or not isinstance(has, list):
            raise ProviderUnavailable("Trigger.dev listed a run that is something unknown")
        ended = will_not_ring(state_of(fields.get("status")))
        for tag in cast("list[object]", has):
            # Whatever a filter let through: only what is asked for is cancelled.
            wakeup = tags.get(tag) if isinstance(tag, str) else None
            if wakeup is not None and (wakeup not in found or not ended):
                found[wakeup] = run, ended
    return found


async def _cancel(http: HttpClient, run: str) -> bool:
    answer = await http.call("POST", "/api/v2/runs/{run}/cancel", values={"run": run}, idempotent=True, expect=(404,))
    return answer.status == 404 or as_fields(answer.json).get("id") == run


async def _each(items: Sequence[T], call: Callable[[T], Awaitable[R]]) -> list[R]:
    """The answers in order, a few at a time. Every call has ended when one's error is raised."""
    room = asyncio.Semaphore(AT_ONCE)

    async def one(item: T) -> R:
        async with room:
            return await call(item)

    answers = await asyncio.gather(*map(one, items), return_exceptions=True)
    good: list[R] = []
    for answer in answers:
        if isinstance(answer, BaseException):
            raise answer
        good.append(answer)
    return good


def _once() -> dict[str, str]:
    """The tries of one call have one such key, so that the vendor takes it once."""
    return {"x-trigger-request-idempotency-key": str(uuid.uuid4())}


def _unexpected(refused: ProviderRefused) -> Exception:
    if refused.status in (404, 405) or 300 <= refused.status < 400:
        return NotConfigured(f"no Trigger.dev at TRIGGER_API_URL: {refused}")
    return ProviderUnavailable(f"{refused}: an answer that is not known")
