"""Wake-ups as messages, and taking them back.

A message carries ids: the wake-up's (which is the vendor's key for removing doubles, within ten minutes), its run's, task's
and tenant's. The vendor's answer is read item by item; what isn't understood is never taken for accepted.
"""

from __future__ import annotations

import asyncio
import re
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, Final, cast

from cgk_jobs.clock import Clock
from cgk_jobs.errors import NotConfigured, ProviderRefused, ProviderUnavailable
from cgk_jobs.providers.calls import body_of
from cgk_jobs.providers.provider import Handed, Receipt, Wakeup
from cgk_jobs.wire.http import HttpClient
from cgk_jobs.wire.json import dumps

__all__ = ["FAILED_PATH", "PATH", "MessageOptions", "dispatch", "withdraw"]

PATH = "/providers/qstash"
FAILED_PATH = "/providers/qstash/failed"

PER_BATCH: Final = 100
BATCH_BYTES: Final = 900_000
"""Below the megabyte that the smallest plan takes."""
PER_CANCEL: Final = 50
"""Ids in one address, which then has some 4,000 characters."""

_REFERENCE = re.compile(r"[A-Za-z0-9_-]{1,200}", re.ASCII)
_PASSES = re.compile(r"quota|daily|rate.?limit|too many", re.IGNORECASE)
"""Nothing else in an item's error is taken for passing: it would be sent again for ever, and what comes after it with it."""


@dataclass(frozen=True, slots=True)
class MessageOptions:
    """How wake-ups are sent. ``public_url``: where ``jobs.asgi()`` is reached. ``retries``: further tries of the vendor.

    ``timeout``: seconds it waits for an answer. ``flow_key``: the name of the application's calls, of which there are
    ``parallelism`` at a time (the excess waits at the vendor). ``tenant_parallelism``: instead, so many for one tenant: a
    message has one key.
    """

    public_url: str
    retries: int
    timeout: int
    flow_key: str
    parallelism: int
    tenant_parallelism: int | None = None


async def dispatch(http: HttpClient, clock: Clock, options: MessageOptions, wakeups: Sequence[Wakeup]) -> list[Receipt]:
    """Hand over in this order; a receipt for each.

    Raises ``ProviderUnavailable`` when it is not known which were taken (hand all of them over again), ``NotConfigured``.
    """
    receipts: list[Receipt] = []
    for chunk in _chunks([(wakeup, _message(wakeup, options, clock)) for wakeup in wakeups]):
        receipts += await _send(http, chunk)
    return receipts


def _message(wakeup: Wakeup, options: MessageOptions, clock: Clock) -> dict[str, Any]:
    key, parallelism = options.flow_key, options.parallelism
    if options.tenant_parallelism is not None:
        key, parallelism = f"{options.flow_key}-tenant-{wakeup.tenant_key}", options.tenant_parallelism
    headers = {
        "Content-Type": "application/json",
        "Upstash-Method": "POST",
        "Upstash-Deduplication-Id": wakeup.id,
        "Upstash-Label": f"tenant-{wakeup.tenant_key}",
        "Upstash-Retries": str(options.retries),
        "Upstash-Failure-Callback": options.public_url + FAILED_PATH,
        "Upstash-Timeout": f"{options.timeout}s",
        "Upstash-Flow-Control-Key": key,
        "Upstash-Flow-Control-Value": f"parallelism={parallelism}",
    }
    if wakeup.due_at > clock.micros():
        # Seconds, and never early: a wake-up that rings before its run is due finds nothing to do.
        headers["Upstash-Not-Before"] = str(-(-wakeup.due_at // 1_000_000))
    return {"destination": options.public_url + PATH, "headers": headers, "body": dumps(body_of(wakeup))}


_Item = tuple[Wakeup, dict[str, Any]]


def _chunks(items: list[_Item]) -> Iterator[list[_Item]]:
    chunk: list[_Item] = []
    size = 0
    for item in items:
        length = len(dumps(item[1]))
        if chunk and (len(chunk) == PER_BATCH or size + length > BATCH_BYTES):
            yield chunk
            chunk, size = [], 0
        chunk.append(item)
        size += length
    if chunk:
        yield chunk


async def _send(http: HttpClient, chunk: list[_Item]) -> list[Receipt]:
    try:
        # The ids remove doubles, so a try whose effect is not known may be repeated.
        answer = await http.call("POST", "/v2/batch", json=[message for _, message in chunk], idempotent=True)
    except ProviderRefused as refused:
        if refused.status not in (400, 413, 422):
            raise _unexpected(refused) from None
        if len(chunk) == 1:
            return [Receipt(chunk[0][0].id, refused=f"QStash refused the message with {refused.status}")]
        # One among them is to blame. The others must not suffer for it.
        middle = len(chunk) // 2
        return [*await _send(http, chunk[:middle]), *await _send(http, chunk[middle:])]
    items: object = answer.json
    if not isinstance(items, list) or len(cast(list[object], items)) != len(chunk):
        raise ProviderUnavailable("QStash answered a batch with something unknown; it is not known what was taken")
    return [_receipt(wakeup, item) for (wakeup, _), item in zip(chunk, cast(list[object], items), strict=True)]


def _receipt(wakeup: Wakeup, item: object) -> Receipt:
    if isinstance(item, dict):
        fields = cast(dict[str, object], item)
        reference, error = fields.get("messageId"), fields.get("error")
        if error is None and isinstance(reference, str) and _REFERENCE.fullmatch(reference):
            return Receipt(wakeup.id, reference)
        if isinstance(error, str) and error:
            if _PASSES.search(error):
                raise ProviderUnavailable("QStash takes no more messages for now: the quota of its plan may be used up")
            return Receipt(wakeup.id, refused=_remedy(error))
    raise ProviderUnavailable("QStash answered a message with something unknown; it is not known what was taken")


def _remedy(error: str) -> str:
    """In our words: the vendor's may repeat what was sent."""
    said = error.lower()
    if "delay" in said or "before" in said:
        return "QStash refused the delay: it is longer than its plan allows"
    if any(word in said for word in ("destination", "url", "host", "address", "endpoint")):
        return "QStash refused the address: is JOBS_PUBLIC_URL public and https?"
    if "large" in said or "size" in said:
        return "QStash refused the size: don't share this task's payload"
    return "QStash refused the message; its console says why"


def _unexpected(refused: ProviderRefused) -> Exception:
    if refused.status in (404, 405) or 300 <= refused.status < 400:
        return NotConfigured(f"no QStash at QSTASH_URL: {refused}")
    return ProviderUnavailable(f"{refused}: an answer that is not known")


async def withdraw(http: HttpClient, handed: Sequence[Handed]) -> list[bool]:
    """Take messages back, by their ids and never without; ``True`` where one is gone.

    One that is on its way at this moment may still arrive; its wake-up is unknown then, and it does nothing.
    """
    named = [item.reference for item in handed if _REFERENCE.fullmatch(item.reference)]
    gone: set[str] = set()
    for start in range(0, len(named), PER_CANCEL):
        part = named[start : start + PER_CANCEL]
        answer = await http.call("DELETE", "/v2/messages", query=[("messageIds", reference) for reference in part])
        fields: Any = answer.json
        if not isinstance(fields, dict) or not isinstance(cast(dict[str, Any], fields).get("cancelled"), int):
            raise ProviderUnavailable(
                "QStash answered a withdrawal with something unknown; it is not known what is left"
            )
        if fields["cancelled"] == len(part):
            gone.update(part)
            continue
        # Some were not there, and the answer doesn't say which: delivered long ago, or in flight and not cancelled.
        await asyncio.gather(*(_cancel(http, reference) for reference in part))
        gone.update(part)
    return [item.reference in gone for item in handed]


async def _cancel(http: HttpClient, reference: str) -> None:
    await http.call("DELETE", "/v2/messages/{id}", values={"id": reference}, expect=(404,))
