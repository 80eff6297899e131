"""Runs at the vendor: what it takes, and in what form. What it would refuse is refused."""

from __future__ import annotations

import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, cast

__all__ = ["Asked", "BadOptions", "NativeRun", "as_object", "delay_until", "read_options"]

_DURATION = re.compile(r"(?:(\d+)w)?(?:(\d+)d)?(?:(\d+)(?:hr|h))?(?:(\d+)m)?(?:(\d+)s)?", re.ASCII)
_UNITS = (604_800, 86_400, 3_600, 60, 1)
_TTL = re.compile(r"\d+[smhd]", re.ASCII)
_TEXTS = ("concurrencyKey", "idempotencyKey", "idempotencyKeyTTL", "delay", "machine", "ttl")
_KNOWN = {
    *_TEXTS,
    "queue",
    "tags",
    "metadata",
    "priority",
    "maxAttempts",
    "maxDuration",
    "payloadType",
    "region",
    "debounce",
}
MOST_TAGS, LONGEST_TAG, LONGEST_KEY = 10, 128, 2_048


class BadOptions(Exception):
    """422, with this text."""


@dataclass
class Asked:
    """A request of the application's, as it came."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class NativeRun:
    """One run. ``due_at``: microseconds since 1970 UTC. ``status``: the vendor's own names."""

    id: str
    task: str
    payload: Any
    due_at: int
    tags: tuple[str, ...] = ()
    concurrency_key: str | None = None
    priority: float = 0
    status: str = "QUEUED"
    attempts: int = 0
    answers: list[int] = field(default_factory=list[int])


def as_object(value: object) -> dict[str, Any]:
    """A JSON object. Raises ``BadOptions``."""
    if not isinstance(value, dict):
        raise BadOptions("expected an object")
    return cast("dict[str, Any]", value)


def read_options(body: Mapping[str, Any], now: int) -> tuple[dict[str, Any], int]:
    """The options of a trigger, and when it is due. What stands beside ``options`` is dropped, as the vendor drops it."""
    options = as_object(body.get("options", {}))
    for name in _TEXTS:
        if name in options and not isinstance(options[name], str):
            raise BadOptions(f"{name}: expected a string")
    if unknown := options.keys() - _KNOWN:
        # The vendor drops these too; here nothing may be sent that has no effect.
        raise BadOptions(f"unknown options {sorted(unknown)}")
    tags: object = options.get("tags", [])
    if not isinstance(tags, list) or len(cast("list[object]", tags)) > MOST_TAGS:
        raise BadOptions(f"tags: at most {MOST_TAGS}")
    if not all(isinstance(tag, str) and 1 <= len(tag) <= LONGEST_TAG for tag in cast("list[object]", tags)):
        raise BadOptions(f"tags: 1 to {LONGEST_TAG} characters")
    if len(options.get("idempotencyKey", "")) > LONGEST_KEY:
        raise BadOptions("idempotencyKey: too long")
    if "idempotencyKeyTTL" in options and not _TTL.fullmatch(options["idempotencyKeyTTL"]):
        raise BadOptions("idempotencyKeyTTL: a number and s, m, h or d")
    if not isinstance(options.get("priority", 0), int | float):
        raise BadOptions("priority: expected a number")
    return options, delay_until(options.get("delay"), now)


def delay_until(delay: str | None, now: int) -> int:
    """When a run with this delay begins. What can't be read is no delay: the run begins at once, and nobody is told."""
    if delay is None:
        return now
    found = _DURATION.fullmatch(delay)
    if found and any(found.groups()):
        return now + 1_000_000 * sum(int(count or 0) * unit for count, unit in zip(found.groups(), _UNITS, strict=True))
    try:
        moment = datetime.fromisoformat(delay)
    except ValueError:
        return now
    return max(now, round(moment.timestamp() * 1e6)) if moment.tzinfo is not None else now
