"""``GET /api/runs/{run_id}/progress``: a run's state and progress as server-sent events, until it has ended."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator

from cgk_jobs.api.routing import Call, acting_for
from cgk_jobs.api.runs import brief
from cgk_jobs.clock import monotonic
from cgk_jobs.wire.asgi import Receive, Send
from cgk_jobs.wire.json import dumps

__all__ = ["MOST_STREAMS", "stream"]

MOST_STREAMS = 500
"""At the same time in one process; the next is asked to come again."""
LOOK_EVERY = 0.5
"""Seconds between looks at the run."""
QUIET = 15.0
"""Seconds without news after which a comment is sent, so that nobody between takes the connection for dead."""
LONGEST = 300.0
"""Seconds after which the stream ends; a browser comes back by itself, and its token is looked at again."""


async def _changes(call: Call) -> AsyncIterator[bytes]:
    until = monotonic() + LONGEST
    told, told_at = "", monotonic()
    found = await call.run(call.path["run_id"])
    while monotonic() < until:
        with acting_for(found.tenant_id):
            run = await call.jobs.runs.glance(found.id)
        now = dumps(brief(run))
        if now != told:
            told, told_at = now, monotonic()
            yield f"event: {'end' if run.finished else 'progress'}\ndata: {now}\n\n".encode()
        elif monotonic() - told_at > QUIET:
            told_at = monotonic()
            yield b": still here\n\n"
        if run.finished:
            return
        await asyncio.sleep(LOOK_EVERY)


async def stream(call: Call, receive: Receive, send: Send, headers: list[tuple[bytes, bytes]]) -> None:
    """Answer with the stream. Ends when the reader has gone. The run was found before."""
    lines = [
        (b"content-type", b"text/event-stream"),
        (b"cache-control", b"no-store"),
        (b"x-accel-buffering", b"no"),
        *headers,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": lines})
    telling = asyncio.ensure_future(_tell(call, send))
    leaving = asyncio.ensure_future(_left(receive))
    try:
        await asyncio.wait({telling, leaving}, return_when=asyncio.FIRST_COMPLETED)
    finally:
        for task in (telling, leaving):
            task.cancel()
        ended, _ = await asyncio.gather(telling, leaving, return_exceptions=True)
    if not isinstance(ended, BaseException):
        await send({"type": "http.response.body", "body": b""})


async def _tell(call: Call, send: Send) -> None:
    async for news in _changes(call):
        await send({"type": "http.response.body", "body": news, "more_body": True})


async def _left(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass
