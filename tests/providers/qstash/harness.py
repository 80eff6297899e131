"""An application with a QStash provider, and what its ledger was told."""

from __future__ import annotations

import itertools
from collections.abc import Callable, Mapping, MutableMapping
from typing import Any

from cgk_jobs.clock import Clock, ManualClock, SystemClock
from cgk_jobs.providers.provider import Answer, AsgiApp, Call, Wakeup
from cgk_jobs.providers.qstash.provider import QStashProvider

MOUNT = "/jobs"
_numbers = itertools.count(1)


class Ledger:
    """Takes rings as ``deliver`` and ``drain`` do, and answers what it is told: ``answers`` in turn, the last one for ever."""

    def __init__(self, *answers: Answer | Exception) -> None:
        self.answers: list[Answer | Exception] = list(answers) or [Answer("settled", outcome="completed")]
        self.calls: list[Call] = []
        self.drained: list[float] = []

    async def deliver(self, call: Call) -> Answer:
        self.calls.append(call)
        answer = self.answers.pop(0) if len(self.answers) > 1 else self.answers[0]
        if isinstance(answer, Exception):
            raise answer
        return answer

    async def drain(self, seconds: float) -> Mapping[str, int]:
        self.drained.append(seconds)
        return {"ticks": 1, "runs": 2, "left": 0}


class Mounted:
    """Serves the routes of a provider below ``/jobs``, which is told only once the address is known."""

    def __init__(self) -> None:
        self.routes: Mapping[str, AsgiApp] = {}

    async def __call__(
        self, scope: MutableMapping[str, Any], receive: Callable[[], Any], send: Callable[[Any], Any]
    ) -> None:
        app = self.routes.get(scope["path"].removeprefix(MOUNT))
        assert app is not None, f"nothing is served at {scope['path']}"
        await app(scope, receive, send)


async def ask(
    app: AsgiApp,
    body: bytes,
    headers: Mapping[str, str] | list[tuple[bytes, bytes]],
    *,
    method: str = "POST",
    messages: list[dict[str, Any]] | None = None,
) -> tuple[int, dict[str, str], bytes]:
    """Call an ASGI app without a server: status, headers, body."""
    lines = (
        headers
        if isinstance(headers, list)
        else [(name.lower().encode("latin-1"), value.encode("latin-1")) for name, value in headers.items()]
    )
    incoming = messages if messages is not None else [{"type": "http.request", "body": body, "more_body": False}]
    sent: list[MutableMapping[str, Any]] = []

    async def receive() -> dict[str, Any]:
        return incoming.pop(0)

    async def send(message: MutableMapping[str, Any]) -> None:
        sent.append(message)

    await app({"type": "http", "method": method, "path": "/", "headers": lines}, receive, send)
    start, end = sent
    return start["status"], {name.decode(): value.decode() for name, value in start["headers"]}, end["body"]


def make_wakeup(clock: Clock | None = None, *, after: float = 0.0, tenant: str = "rawdog", **fields: Any) -> Wakeup:
    """One that is due ``after`` seconds from now."""
    number = next(_numbers)
    usual: dict[str, Any] = {
        "id": f"w{number:025d}",
        "queue": "default",
        "tenant_key": tenant,
        "run_id": f"01930000-0000-7000-8000-{number:012d}",
        "task": "sync_order",
        "due_at": (clock or SystemClock()).micros() + round(after * 1e6),
    }
    return Wakeup(**{**usual, **fields})


def provider_of(environment: Mapping[str, str], clock: ManualClock | None = None, **options: Any) -> QStashProvider:
    """As an application makes it, without waits between the tries of a request."""
    return QStashProvider.from_settings(environment, clock=clock, **options)
