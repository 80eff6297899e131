"""Calls by whoever may reach an endpoint: mutations of good ones, none of which may get through or break anything.

A provider is tried by a ``Target``: ``tests/providers/NAME/hostile.py`` has a function ``make_target``. What may be changed
without harm (a header the signature says nothing about) is no mutation.
"""

from __future__ import annotations

import importlib
import random
from collections import Counter
from collections.abc import Callable, MutableMapping
from dataclasses import dataclass, field
from time import perf_counter
from typing import Any, Protocol

from cgk_jobs.providers.provider import AsgiApp

__all__ = ["Attempt", "Finding", "Target", "attack", "changed_text", "make_target"]

PROVIDERS = ("inngest", "qstash", "trigger_dev", "vercel_cron")
"""Those that have a target."""
REFUSALS = frozenset({400, 401, 403, 405, 413})


@dataclass
class Attempt:
    """A call to ``app``. ``what``: how it differs from a good one. ``messages``: of ASGI, in place of the whole body."""

    app: AsgiApp
    what: str
    headers: list[tuple[bytes, bytes]]
    body: bytes
    method: str = "POST"
    path: str = "/"
    query: bytes = b""
    messages: list[dict[str, Any]] | None = None


class Target(Protocol):
    """An endpoint with its provider behind it."""

    def good(self) -> Attempt:
        """A call that is let in, once."""
        ...

    def mutate(self, attempt: Attempt, chance: random.Random) -> Attempt:
        """Change what is signed, or the signature."""
        ...

    def accepted(self) -> int:
        """How many calls reached the ledger so far."""
        ...


@dataclass
class Finding:
    """What came of an attack. ``p99``: milliseconds of the slowest hundredth."""

    tried: int = 0
    accepted: int = 0
    crashed: int = 0
    statuses: Counter[int] = field(default_factory=Counter[int])
    kinds: Counter[str] = field(default_factory=Counter[str])
    complaints: list[str] = field(default_factory=list[str])
    p99: float = 0.0

    @property
    def clean(self) -> bool:
        """Nothing got through, nothing broke, and each was answered with a refusal."""
        return not self.accepted and not self.crashed and self.statuses.keys() <= REFUSALS


async def attack(target: Target, count: int, seed: int) -> Finding:
    """``count`` mutated calls, the same for the same ``seed``; a good one among a thousand shows that the door still opens."""
    chance = random.Random(seed)
    finding = Finding()
    times: list[float] = []
    for number in range(count):
        if number % 1_000 == 0:
            await _check_the_door_opens(target, finding)
        attempt = target.mutate(target.good(), chance)
        before = target.accepted()
        began = perf_counter()
        try:
            status = await _call(attempt)
        except Exception as error:
            finding.crashed += 1
            finding.complaints.append(f"number {number} ({attempt.what}): {type(error).__name__}: {error}")
            continue
        times.append(perf_counter() - began)
        finding.statuses[status] += 1
        finding.kinds[attempt.what] += 1
        if target.accepted() != before or status not in REFUSALS:
            finding.accepted += target.accepted() - before
            finding.complaints.append(f"number {number} ({attempt.what}): answered {status}")
    finding.tried = count
    finding.p99 = 1_000 * sorted(times)[int(len(times) * 0.99)] if times else 0.0
    return finding


async def _check_the_door_opens(target: Target, finding: Finding) -> None:
    before = target.accepted()
    status = await _call(target.good())
    if status != 200 or target.accepted() != before + 1:
        finding.crashed += 1
        finding.complaints.append(f"a good call was answered {status}")


async def _call(attempt: Attempt) -> int:
    incoming = attempt.messages or [{"type": "http.request", "body": attempt.body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0) if incoming else {"type": "http.disconnect"}

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    scope = {
        "type": "http",
        "method": attempt.method,
        "scheme": "https",
        "path": attempt.path,
        "raw_path": attempt.path.encode("utf-8", "surrogateescape"),
        "query_string": attempt.query,
        "root_path": "",
        "headers": attempt.headers,
        "server": ("127.0.0.1", 80),
        "client": ("127.0.0.1", 1),
        "http_version": "1.1",
    }
    await attempt.app(scope, receive, send)
    status: int = sent[0]["status"]
    return status


def changed_text(data: bytes, chance: random.Random) -> bytes:
    """Other bytes than ``data``, by one small change."""
    changes: list[Callable[[], bytes]] = [
        lambda: _at(data, chance, lambda old: old ^ (1 << chance.randrange(8))),
        lambda: _at(data, chance, lambda _: chance.randrange(256)),
        lambda: data[: chance.randrange(len(data) + 1)],
        lambda: data[chance.randrange(len(data) + 1) :],
        lambda: data + bytes([chance.randrange(256)]),
        lambda: bytes([chance.randrange(256)]) + data,
        lambda: _insert(data, chance),
        lambda: data + data,
        lambda: data[::-1],
        data.upper,
        data.swapcase,
        lambda: b"",
        lambda: chance.randbytes(chance.randrange(2_000)),
        lambda: data.replace(b"rawdog", b"acme-co"),
        lambda: b"\xef\xbb\xbf" + data,
        lambda: data + b"\0" * chance.randrange(1, 100),
    ]
    while True:
        other = chance.choice(changes)()
        if other != data:
            return other


def _at(data: bytes, chance: random.Random, change: Callable[[int], int]) -> bytes:
    if not data:
        return b"x"
    place = chance.randrange(len(data))
    return data[:place] + bytes([change(data[place])]) + data[place + 1 :]


def _insert(data: bytes, chance: random.Random) -> bytes:
    place = chance.randrange(len(data) + 1)
    return data[:place] + chance.randbytes(chance.randrange(1, 5)) + data[place:]


def make_target(provider: str) -> Target:
    """The target of a provider."""
    module = importlib.import_module(f"tests.providers.{provider}.hostile")
    target: Target = module.make_target()
    return target
