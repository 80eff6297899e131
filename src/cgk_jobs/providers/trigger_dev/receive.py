"""What the generated tasks call: a wake-up that is due, and the clock.

Work that takes longer than a request should is answered 202 with the name of a waitpoint token: the task at Trigger.dev then waits
without holding a machine or a slot, until the token is completed from here with what the answer would have been.
"""

from __future__ import annotations

import asyncio
import logging
import uuid
from collections.abc import Awaitable, Callable
from typing import Any

from cgk_jobs.clock import Clock
from cgk_jobs.errors import JobsError, ProviderUnavailable
from cgk_jobs.providers.calls import CallRefused, Reply, as_fields, call_of, place_of, reply_to, respond, wait_of
from cgk_jobs.providers.provider import Answer, Call, Deliver, Drain
from cgk_jobs.wire.asgi import Receive, Scope, Send, header_of, read_body
from cgk_jobs.wire.http import HttpClient
from cgk_jobs.wire.replays import Seen
from cgk_jobs.wire.request_signing import RequestSigner, SignatureRefused

__all__ = ["LongCalls", "SignedCalls", "clock_endpoint"]

_logger = logging.getLogger("cgk_jobs.providers.trigger_dev")

LARGEST_BODY = 256 * 1024
"""Bytes. A wake-up has some 250; a shared payload at most 64,000 characters."""
TOKEN_TIMEOUT = "24h"  # noqa: S105
"""After which a task stops waiting for a process that died; the ledger has woken the run again long before."""
GRACE = 5.0
"""Seconds that calls under way have when the provider is closed."""
_REFUSED: Reply = (422, {"kind": "refused"}, {})
"""The task ends its run, without another attempt."""


class SignedCalls:
    """An endpoint that only calls signed with one of the keys get through to, each once.

    ``path``: as the caller addresses it: behind a proxy it is another than the request's own.
    """

    def __init__(
        self,
        path: str,
        signer: RequestSigner,
        seen: Seen,
        clock: Clock,
        handle: Callable[[bytes], Awaitable[Reply]],
    ) -> None:
        self._path, self._signer, self._seen, self._clock, self._handle = path, signer, seen, clock, handle

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        if scope["type"] != "http":
            raise ValueError(f"an endpoint for http, called for {scope['type']}")
        await respond(send, _logger, self._path, "its signature is", lambda: self._reply(scope, receive))

    async def _reply(self, scope: Scope, receive: Receive) -> Reply:
        if scope["method"] != "POST":
            return 405, None, {"Allow": "POST"}
        try:
            presented = self._signer.read(lambda name: header_of(scope, name), self._clock.micros() // 1_000_000)
            body = await read_body(scope, receive, LARGEST_BODY)
            self._signer.check(presented, "POST", self._path, body)
        except SignatureRefused as refused:
            raise CallRefused(str(refused)) from None
        if not await self._seen.first(f"trigger_dev:{presented.nonce}", presented.until * 1_000_000):
            raise CallRefused("used before", genuine=True)
        return await self._handle(body)


def clock_endpoint(drain: Drain, seconds: float) -> Callable[[bytes], Awaitable[Reply]]:
    """Looks at the schedules and works off what is due, for so many seconds."""

    async def handle(body: bytes) -> Reply:
        return 200, dict(await drain(seconds)), {}

    return handle


class LongCalls:
    """Claims, executes and settles, and answers once the ledger has it, or after ``answer_within`` seconds with a token.

    The work goes on whatever becomes of the request it came with.
    """

    def __init__(self, http: HttpClient, answer_within: float) -> None:
        self._http, self._answer_within = http, answer_within
        self._working: set[asyncio.Task[Answer]] = set()
        self._completing: set[asyncio.Task[None]] = set()
        self._closing = asyncio.Event()

    def endpoint(self, deliver: Deliver) -> Callable[[bytes], Awaitable[Reply]]:
        """Handles a call whose signature was checked."""

        async def handle(body: bytes) -> Reply:
            call = call_of(body, None)
            return _REFUSED if call is None else await self._answer(deliver, call)

        return handle

    async def close(self) -> None:
        """Tell the tasks that wait for work that has not ended to ring again."""
        self._closing.set()
        if self._completing:
            await asyncio.wait(self._completing, timeout=GRACE)
        for task in self._completing:
            task.cancel()
        await asyncio.gather(*self._completing, return_exceptions=True)
        self._closing = asyncio.Event()

    async def _answer(self, deliver: Deliver, call: Call) -> Reply:
        work = asyncio.ensure_future(deliver(call))
        self._working.add(work)
        work.add_done_callback(self._ended)
        done, _ = await asyncio.wait({work}, timeout=self._answer_within)
        if not done and (token := await self._token(call)) is not None:
            completing = asyncio.get_running_loop().create_task(self._complete(token, work), name="cgk-jobs-waitpoint")
            self._completing.add(completing)
            completing.add_done_callback(self._completing.discard)
            return 202, {"kind": "accepted", "waitpoint": token}, {}
        # Without a token the request is held as long as it can be.
        return reply_to(await asyncio.shield(work), _REFUSED)

    def _ended(self, work: asyncio.Task[Answer]) -> None:
        self._working.discard(work)
        if not work.cancelled():
            work.exception()  # whoever waits for it raises it; where nobody does any more, the run's next wake-up finds out

    async def _token(self, call: Call) -> str | None:
        try:
            answer = await self._http.call(
                "POST",
                "/api/v1/waitpoints/tokens",
                json={
                    "timeout": TOKEN_TIMEOUT,
                    "idempotencyKey": f"{call.wakeup_id}-{uuid.uuid4().hex}",
                    "idempotencyKeyTTL": "1h",
                    "tags": [f"tenant:{call.tenant_key}", f"wakeup:{call.wakeup_id}"],
                },
                idempotent=True,
            )
        except JobsError as error:
            _logger.warning("no waitpoint token for a call that takes long, so its request is held: %s", error)
            return None
        token = as_fields(answer.json).get("id")
        return token if isinstance(token, str) and token.startswith("waitpoint_") else None

    async def _complete(self, token: str, work: asyncio.Task[Answer]) -> None:
        closing = asyncio.ensure_future(self._closing.wait())
        try:
            await asyncio.wait({work, closing}, return_when=asyncio.FIRST_COMPLETED)
        finally:
            closing.cancel()
        data = _told(work) if work.done() else {"kind": "busy", "retryAfter": 1}
        try:
            await self._http.call(
                "POST",
                "/api/v1/waitpoints/tokens/{token}/complete",
                values={"token": token},
                json={"data": data},
                idempotent=True,
                expect=(404,),
            )
        except JobsError as error:
            _logger.error("a task at Trigger.dev waits for an answer that could not be given: %s", error)


def _told(work: asyncio.Task[Answer]) -> dict[str, Any]:
    """What a token is completed with: kind, and seconds until a further try."""
    if work.cancelled():
        return {"kind": "busy", "retryAfter": 1}
    error = work.exception()
    if isinstance(error, ProviderUnavailable):
        return {"kind": "busy", "retryAfter": wait_of(error.retry_after)}
    if error is not None:
        _logger.error("a call that took long failed with %s", place_of(error))
        return {"kind": "failed"}
    answer = work.result()
    if answer.kind == "busy":
        return {"kind": "busy", "retryAfter": wait_of(answer.retry_after)}
    return {"kind": answer.kind}
