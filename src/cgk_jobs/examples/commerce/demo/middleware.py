"""What the demo wraps around the tasks of orders: notes when each begins, and lets some first attempts fail."""

from __future__ import annotations

from typing import Any
from zlib import crc32

from cgk_jobs.clock import monotonic
from cgk_jobs.tasks.task import Next

__all__ = ["FAILS_ONE_IN", "OrderMiddleware", "ShopUnreachable"]

FAILS_ONE_IN = 100
"""First attempts of which one fails, always the same."""


class ShopUnreachable(Exception):
    """The shop's network had a moment of weakness."""


class OrderMiddleware:
    """``starts``: tenant, event, order, and the real time (monotonic seconds) at which its first handler began here.

    Whoever writes them down takes them out.
    """

    def __init__(self) -> None:
        self.starts: list[tuple[str, str, str, float]] = []
        self._seen: set[tuple[str, str]] = set()

    async def __call__(self, ctx: Any, call_next: Next, /) -> Any:
        event = ctx.event
        key = (ctx.tenant_id, event.order_id)
        if key not in self._seen:
            self._seen.add(key)
            self.starts.append((ctx.tenant_id, event.event_name, event.order_id, monotonic()))
        if ctx.attempt == 1 and crc32(f"{ctx.task_id}/{event.order_id}".encode()) % FAILS_ONE_IN == 0:
            raise ShopUnreachable("no connection to the shop")
        return await call_next()
