"""What QStash calls: a wake-up that is due, one it has given up, and the clock.

The signature is checked before the body is read, the body's hash before it is parsed, and each token is used once. Who is
refused is told a status and nothing else; the log says why.
"""

from __future__ import annotations

import base64
import logging
from collections.abc import Awaitable, Callable, Sequence

from cgk_jobs.clock import Clock
from cgk_jobs.providers.calls import Reply, call_of, fields_of, reply_to, respond
from cgk_jobs.providers.provider import Deliver, Drain
from cgk_jobs.providers.qstash.tokens import TokenRefused, fits_body, open_token
from cgk_jobs.wire.asgi import Receive, Scope, Send, header_of, read_body
from cgk_jobs.wire.replays import Seen

__all__ = ["Signed", "clock_endpoint", "failed_endpoint", "wakeup_endpoint"]

_logger = logging.getLogger("cgk_jobs.providers.qstash")

LARGEST_BODY = 256 * 1024
"""Bytes. A wake-up has some 250; a shared payload at most 64,000 characters; a failure report holds one in base64."""
_REFUSED: Reply = (489, {"kind": "refused"}, {"Upstash-NonRetryable-Error": "true"})
"""Straight to the dead letters, without another try."""


class Signed:
    """An endpoint that only QStash's calls get through to, each once.

    ``url``: the address as QStash was given it: behind a proxy it is another than the request's own.
    """

    def __init__(
        self,
        url: str,
        keys: Sequence[bytes],
        seen: Seen,
        clock: Clock,
        handle: Callable[[bytes], Awaitable[Reply]],
    ) -> None:
        self._url, self._keys, self._seen, self._clock, self._handle = url, keys, seen, clock, handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"an endpoint for http, called for {scope['type']}")
        await respond(send, _logger, self._url, "its token is", lambda: self._reply(scope, receive))

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        if scope["method"] != "POST":
            return 405, None, {"Allow": "POST"}
        token = header_of(scope, "upstash-signature")
        if token is None:
            raise TokenRefused("not there, or there twice")
        claims = open_token(token, self._keys, self._url, self._clock.micros() / 1e6)
        body = await read_body(scope, receive, LARGEST_BODY)
        if not fits_body(claims, body):
            raise TokenRefused("for another body", genuine=True)
        if not await self._seen.first(f"qstash:{claims.name}", claims.until * 1_000_000):
            raise TokenRefused("used before", genuine=True)
        return await self._handle(body)


def wakeup_endpoint(deliver: Deliver, budget: float | None) -> Callable[[bytes], Awaitable[Reply]]:
    """Claims, executes and settles, and answers once the ledger has it. ``budget``: seconds QStash waits at most."""

    async def handle(body: bytes) -> Reply:
        call = call_of(body, budget)
        return _REFUSED if call is None else reply_to(await deliver(call), _REFUSED)

    return handle


def failed_endpoint(deliver: Deliver, budget: float | None) -> Callable[[bytes], Awaitable[Reply]]:
    """A wake-up QStash has given up. This call shows that the application is back: it is delivered after all.

    One that was refused stays so. Either way the overdue sweep would replace it, a little later.
    """

    async def handle(body: bytes) -> Reply:
        report = fields_of(body)
        status, source, tries = report.get("status"), report.get("sourceBody"), report.get("retried")
        call = None
        if isinstance(source, str):
            try:
                call = call_of(base64.b64decode(source, validate=True), budget)
            except ValueError:
                call = None
        if call is None:
            return _REFUSED
        _logger.warning(
            "QStash gave up wake-up %s (tenant %s, task %s) after %s tries, the last answered %s",
            *(call.wakeup_id, call.tenant_key, call.task),
            tries + 1 if isinstance(tries, int) else "some",
            status if isinstance(status, int) else "something unknown",
        )
        if status == 489:
            return 200, {"kind": "nothing"}, {}
        return reply_to(await deliver(call), _REFUSED)

    return handle


def clock_endpoint(drain: Drain, seconds: float) -> Callable[[bytes], Awaitable[Reply]]:
    """Looks at the schedules and works off what is due, for so many seconds."""

    async def handle(body: bytes) -> Reply:
        return 200, dict(await drain(seconds)), {}

    return handle
