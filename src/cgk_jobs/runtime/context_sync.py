"""The durable operations for plain functions: each waits for the event loop of the worker."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Coroutine
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from cgk_jobs.errors import NotConfigured
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, Sent

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["SyncContext", "worker_loop"]

T = TypeVar("T")

worker_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("cgk_jobs_worker_loop", default=None)
"""The loop whose worker runs the plain function of this thread."""


class SyncContext:
    """``ctx.sync``: ``step``, ``sleep``, ``sleep_until``, ``send``, ``progress`` and ``metadata``, blocking.

    Each is a checkpoint too: it raises ``RunCancelled`` once the run is cancelled or its time is over. A step's function runs in another thread, with the handler's tenant current, and may itself block.
    """

    def __init__(self, ctx: Context) -> None:
        self._ctx = ctx

    def _wait(self, work: Coroutine[Any, Any, T]) -> T:
        loop = worker_loop.get()
        if loop is None:
            work.close()
            raise NotConfigured("ctx.sync is for plain functions (`def`); in an `async def` handler await ctx itself")
        if self._ctx.cancelled:
            work.close()
            self._ctx.check_cancelled()
        return asyncio.run_coroutine_threadsafe(work, loop).result()

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`Context.step`; ``function`` is a plain one."""
        return self._wait(self._ctx.step(name, lambda: asyncio.to_thread(function, *args, **kwargs)))

    def sleep(self, duration: Duration) -> None:
        """As :meth:`Context.sleep`."""
        self._wait(self._ctx.sleep(duration))

    def sleep_until(self, moment: datetime) -> None:
        """As :meth:`Context.sleep_until`."""
        self._wait(self._ctx.sleep_until(moment))

    def send(self, event: Event | str, *events: Any, **options: Any) -> Sent | list[Sent]:
        """As :meth:`Context.send`."""
        return self._wait(self._ctx.send(event, *events, **options))

    def progress(self, fraction: float, message: str = "") -> None:
        """As :meth:`Context.progress`."""
        self._wait(self._ctx.progress(fraction, message))

    def metadata(self, **fields: Any) -> None:
        """As :meth:`Context.metadata`."""
        self._wait(self._ctx.metadata(**fields))
