"""What QStash calls: a wake-up that is due, one it has given up, and the clock.

The signature is checked before the body is read, the body's hash before it is parsed, and each token is used once. Who is
refused is told a status and nothing else; the log says why.
"""

from __future__ import annotations

import base64
import logging
import math
import traceback
from collections.abc import Awaitable, Callable, Sequence
from typing import Any, cast

from cgk_jobs.clock import Clock
from cgk_jobs.errors import ProviderUnavailable
from cgk_jobs.providers.provider import Answer, Call, Deliver, Drain
from cgk_jobs.providers.qstash.tokens import TokenRefused, fits_body, open_token
from cgk_jobs.wire.asgi import BadRequest, Receive, Scope, Send, answer, header_of, read_body
from cgk_jobs.wire.json import loads
from cgk_jobs.wire.replays import Seen

__all__ = ["Reply", "Signed", "clock_endpoint", "failed_endpoint", "wakeup_endpoint"]

_logger = logging.getLogger("cgk_jobs.providers.qstash")

LARGEST_BODY = 256 * 1024
"""Bytes. A wake-up has some 250; a shared payload at most 64,000 characters; a failure report holds one in base64."""
BUSY_AGAIN = 30
"""Seconds after which QStash comes back if a run is busy and nothing better is known."""

Reply = tuple[int, object, dict[str, str]]
"""Status, JSON body, headers."""
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
        try:
            status, body, headers = await self._reply(scope, receive)
        except TokenRefused as refused:
            # What is genuine and refused all the same is a mistake of the set-up; anybody can cause the rest.
            level = logging.WARNING if refused.genuine else logging.INFO
            _logger.log(level, "a call to %s was refused: its token is %s", self._url, refused)
            status, body, headers = 401, None, {}
        except BadRequest as bad:
            _logger.info("a call to %s was refused: %s", self._url, bad)
            status, body, headers = bad.status, None, {}
        except ProviderUnavailable as error:
            wait = math.ceil(error.retry_after or BUSY_AGAIN)
            _logger.warning("a call to %s has to come again: the ledger can't be reached", self._url)
            status, body, headers = 503, None, {"Retry-After": str(wait)}
        except Exception as error:
            _logger.error("a call to %s failed with %s", self._url, _place(error))
            status, body, headers = 500, None, {}
        await answer(send, status, body, headers)

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


def _place(error: Exception) -> str:
    """Kind and line of an error: its text may hold what a handler was given."""
    frames = traceback.extract_tb(error.__traceback__)
    return f"{type(error).__name__} in {frames[-1].filename}:{frames[-1].lineno}" if frames else type(error).__name__


def wakeup_endpoint(deliver: Deliver, budget: float | None) -> Callable[[bytes], Awaitable[Reply]]:
    """Claims, executes and settles, and answers once the ledger has it. ``budget``: seconds QStash waits at most."""

    async def handle(body: bytes) -> Reply:
        call = _call_of(body, budget)
        return _REFUSED if call is None else _reply_to(await deliver(call))

    return handle


def failed_endpoint(deliver: Deliver, budget: float | None) -> Callable[[bytes], Awaitable[Reply]]:
    """A wake-up QStash has given up. This call shows that the application is back: it is delivered after all.

    One that was refused stays so. Either way the overdue sweep would replace it, a little later.
    """

    async def handle(body: bytes) -> Reply:
        report = _fields(body)
        status, source, tries = report.get("status"), report.get("sourceBody"), report.get("retried")
        call = None
        if isinstance(source, str):
            try:
                call = _call_of(base64.b64decode(source, validate=True), budget)
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
        return _reply_to(await deliver(call))

    return handle


def clock_endpoint(drain: Drain, seconds: float) -> Callable[[bytes], Awaitable[Reply]]:
    """Looks at the schedules and works off what is due, for so many seconds."""

    async def handle(body: bytes) -> Reply:
        return 200, dict(await drain(seconds)), {}

    return handle


def _reply_to(found: Answer) -> Reply:
    match found.kind:
        case "settled" | "nothing":
            return 200, {"kind": found.kind}, {}
        case "busy":
            wait = BUSY_AGAIN if found.retry_after is None else max(1, math.ceil(found.retry_after))
            return 409, {"kind": "busy"}, {"Retry-After": str(wait)}
        case "refused":
            return _REFUSED
    raise ValueError("an answer of a kind that is not known")


def _call_of(body: bytes, budget: float | None) -> Call | None:
    """The wake-up in a message of ours; ``None`` for anything else."""
    fields = _fields(body)
    texts = [fields.get(name) for name in ("wakeup", "queue", "tenant", "run", "task")]
    if fields.get("v") != 1 or not all(isinstance(text, str) and 0 < len(text) <= 255 for text in texts):
        return None
    wakeup, queue, tenant, run, task = cast(list[str], texts)
    return Call(wakeup_id=wakeup, queue=queue, tenant_key=tenant, run_id=run, task=task, budget=budget)


def _fields(body: bytes) -> dict[str, Any]:
    try:
        value = loads(body)
    except ValueError:
        return {}
    return cast(dict[str, Any], value) if isinstance(value, dict) else {}
