"""A message, read from the headers it was sent with; what the service would not take is refused."""

from __future__ import annotations

import base64
import re
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any
from urllib.parse import urlsplit

from cgk_jobs.testing.peers.qstash.faults import Limits

__all__ = ["Message", "Rejected", "new_id", "read_message", "report_of", "seconds_in"]

_LABEL = re.compile(r"[A-Za-z0-9_.-]{1,256}")
_DURATION = re.compile(r"(?:(\d+)d)?(?:(\d+)h)?(?:(\d+)m)?(?:(\d+)s)?")
_FLOW = re.compile(r"(parallelism|rate|period)=([0-9a-z]+)")
_KNOWN = frozenset(
    f"upstash-{name}"
    for name in [
        "method",
        "retries",
        "delay",
        "not-before",
        "deduplication-id",
        "content-based-deduplication",
        "timeout",
        "callback",
        "failure-callback",
        "label",
        "flow-control-key",
        "flow-control-value",
        "cron",
        "schedule-id",
        "queue-name",
        "redact-fields",
    ]
)
_OPEN = ("upstash-forward-", "upstash-callback-", "upstash-failure-callback-", "upstash-telemetry-")


class Rejected(Exception):
    """The service answers ``status`` with this text."""

    def __init__(self, text: str, status: int = 400) -> None:
        super().__init__(text)
        self.status = status


@dataclass
class Message:
    """Moments are unix seconds. ``retried``: tries after the first. ``holding``: it has a place of its flow-control key."""

    id: str
    url: str
    body: bytes
    headers: dict[str, str]
    not_before: float
    created_at: float
    retries: int
    method: str = "POST"
    timeout: float = 900.0
    deduplication_id: str | None = None
    labels: tuple[str, ...] = ()
    failure_callback: str | None = None
    callback: str | None = None
    flow_key: str | None = None
    parallelism: int | None = None
    schedule_id: str | None = None
    queue: str | None = None
    retried: int = 0
    state: str = "CREATED"
    answers: list[int] = field(default_factory=list[int])

    def shown(self) -> dict[str, Any]:
        """As the service shows it."""
        shown: dict[str, Any] = {
            "messageId": self.id,
            "url": self.url,
            "method": self.method,
            "header": {name: [value] for name, value in self.headers.items()},
            "body": self.body.decode("utf-8", "replace"),
            "maxRetries": self.retries,
            "notBefore": int(self.not_before * 1000),
            "createdAt": int(self.created_at * 1000),
            "callerIP": "127.0.0.1",
        }
        optional = {
            "label": ",".join(self.labels),
            "failureCallback": self.failure_callback,
            "callback": self.callback,
            "flowControlKey": self.flow_key,
            "parallelism": self.parallelism,
            "scheduleId": self.schedule_id,
            "queueName": self.queue,
        }
        return {**shown, **{name: value for name, value in optional.items() if value}}


def new_id() -> str:
    """As long as the service's."""
    return f"msg_{secrets.token_hex(30)}"


def report_of(message: Message, status: int, headers: Mapping[str, str], content: bytes) -> dict[str, Any]:
    """What a callback says of a call."""
    return {
        "status": status,
        "header": {name: [value] for name, value in headers.items()},
        "body": base64.b64encode(content).decode(),
        "retried": message.retried,
        "maxRetries": message.retries,
        "sourceMessageId": message.id,
        "url": message.url,
        "method": message.method,
        "sourceHeader": {name: [value] for name, value in message.headers.items()},
        "sourceBody": base64.b64encode(message.body).decode(),
        "notBefore": int(message.not_before * 1000),
        "createdAt": int(message.created_at * 1000),
        "callerIP": "127.0.0.1",
    }


def read_message(
    id: str, url: str, given: Mapping[str, str], body: bytes, now: float, limits: Limits, *, queue: str | None = None
) -> Message:
    """Raises ``Rejected`` for what the service does not take, and for an ``Upstash-`` header that it does not know."""
    headers = {name.lower(): value for name, value in given.items()}
    unknown = [
        name for name in headers if name.startswith("upstash-") and name not in _KNOWN and not name.startswith(_OPEN)
    ]
    if unknown:
        raise Rejected(f"unknown header {unknown[0]}")
    for target in (url, headers.get("upstash-callback"), headers.get("upstash-failure-callback")):
        if target is not None:
            _check_address(target)
    if len(body) > limits.body:
        raise Rejected("message body is too large", 413)
    retries = _number(headers, "upstash-retries", limits.retries)
    if retries > limits.retries:
        raise Rejected(f"retries can't be more than {limits.retries}")
    labels = tuple(headers["upstash-label"].split(",")) if "upstash-label" in headers else ()
    if not all(_LABEL.fullmatch(label) for label in labels):
        raise Rejected("invalid label")
    flow_key, parallelism = _flow(headers)
    timeout = seconds_in(headers["upstash-timeout"]) if "upstash-timeout" in headers else limits.response
    if timeout > limits.response:
        raise Rejected("timeout is longer than the plan allows")
    return Message(
        id=id,
        url=url,
        body=body,
        headers=_forwarded(headers),
        not_before=_due(headers, now, limits),
        created_at=now,
        retries=retries,
        method=headers.get("upstash-method", "POST"),
        timeout=timeout,
        deduplication_id=headers.get("upstash-deduplication-id"),
        labels=labels,
        failure_callback=headers.get("upstash-failure-callback"),
        callback=headers.get("upstash-callback"),
        flow_key=flow_key,
        parallelism=parallelism,
        queue=queue or headers.get("upstash-queue-name"),
    )


def seconds_in(text: str) -> float:
    """Of ``10s``, ``1h30m``. Raises ``Rejected``."""
    found = _DURATION.fullmatch(text)
    if not found or not text:
        raise Rejected(f"invalid duration {text}")
    days, hours, minutes, seconds = (int(part or 0) for part in found.groups())
    return float(days * 86_400 + hours * 3_600 + minutes * 60 + seconds)


def _check_address(url: str) -> None:
    address = urlsplit(url)
    if address.scheme not in ("http", "https") or not address.hostname or address.query or address.fragment:
        raise Rejected("invalid destination url")


def _due(headers: Mapping[str, str], now: float, limits: Limits) -> float:
    if "upstash-not-before" in headers:
        due = float(_number(headers, "upstash-not-before", 0))
    elif "upstash-delay" in headers:
        due = now + seconds_in(headers["upstash-delay"])
    else:
        return now
    # Who gives milliseconds asks for a moment in fifty thousand years.
    if due - now > limits.delay:
        raise Rejected("max delay exceeded")
    return due


def _flow(headers: Mapping[str, str]) -> tuple[str | None, int | None]:
    key, value = headers.get("upstash-flow-control-key"), headers.get("upstash-flow-control-value")
    if key is None and value is None:
        return None, None
    if not key or not value or not _LABEL.fullmatch(key):
        raise Rejected("flow control needs a key and a value")
    found = dict(_FLOW.findall(value))
    if ", ".join(f"{name}={text}" for name, text in found.items()) != value or not found.keys() & {
        "parallelism",
        "rate",
    }:
        raise Rejected("invalid flow control value")
    return key, int(found["parallelism"]) if "parallelism" in found else None


def _forwarded(headers: Mapping[str, str]) -> dict[str, str]:
    prefix = "upstash-forward-"
    forwarded = {name.removeprefix(prefix): value for name, value in headers.items() if name.startswith(prefix)}
    return {"content-type": headers.get("content-type", "application/octet-stream"), **forwarded}


def _number(headers: Mapping[str, str], name: str, default: int) -> int:
    text = headers.get(name)
    if text is None:
        return default
    if not text.isdigit():
        raise Rejected(f"invalid {name}")
    return int(text)
