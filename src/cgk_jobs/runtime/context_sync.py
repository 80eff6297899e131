"""The durable operations for plain functions: each waits for the event loop of the worker."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine, Iterable
from contextvars import ContextVar
from datetime import datetime
from typing import TYPE_CHECKING, Any, TypeVar

from pydantic import BaseModel

from cgk_jobs.errors import NotConfigured, Unsupported
from cgk_jobs.events.event import Event
from cgk_jobs.events.sent import Duration, Sent
from cgk_jobs.portal import wait_for
from cgk_jobs.runtime.approving import ApprovalLink
from cgk_jobs.runtime.calling import Call
from cgk_jobs.runtime.matching import Match
from cgk_jobs.runtime.stepping import run_step, take_options
from cgk_jobs.tasks.task import Task

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["SyncContext", "in_main_thread", "worker_loop"]

T = TypeVar("T")

worker_loop: ContextVar[asyncio.AbstractEventLoop | None] = ContextVar("cgk_jobs_worker_loop", default=None)
"""The loop whose worker runs the plain function of this thread."""
_main_thread: ContextVar[int] = ContextVar("cgk_jobs_main_thread", default=0)
"""The thread the handler was called in."""


def in_main_thread(handler: Callable[..., T], *args: Any) -> T:
    """Call a handler, and remember that this is its thread."""
    _main_thread.set(threading.get_ident())
    return handler(*args)


class SyncContext:
    """``ctx.sync``: the operations of a context, blocking.

    Each is a checkpoint too: it raises ``RunCancelled`` once the run is cancelled or its time is over. A step's function runs in
    another thread, with the handler's tenant current, and may itself block.
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
        is_main = threading.get_ident() == _main_thread.get()
        return wait_for(self._strand(work, is_main), loop)

    async def _strand(self, work: Coroutine[Any, Any, T], is_main: bool) -> T:
        # Each operation of a thread is a task of its own on the loop: those of the handler's thread are its main strand.
        if is_main:
            self._ctx.history.main = asyncio.current_task()
        return await work

    def step(self, name: str, function: Callable[..., Any], /, *args: Any, **kwargs: Any) -> Any:
        """As :meth:`Context.step`; ``function`` and its ``undo`` are plain ones. ``connection=`` needs an async handler."""
        options = take_options(name, function, kwargs)
        if options.connection is not None:
            raise Unsupported("ctx.sync.step(connection=)", "a plain handler", "Write the handler as `async def`.")
        return self._wait(
            run_step(self._ctx, name, lambda: asyncio.to_thread(function, *args, **kwargs), options.threaded())
        )

    def sleep(self, duration: Duration) -> None:
        """As :meth:`Context.sleep`."""
        self._wait(self._ctx.sleep(duration))

    def sleep_until(self, moment: datetime) -> None:
        """As :meth:`Context.sleep_until`."""
        self._wait(self._ctx.sleep_until(moment))

    def wait_for(
        self, event: type[Event] | str, match: Match = None, timeout: Duration | None = None, *, name: str | None = None
    ) -> Any:
        """As :meth:`Context.wait_for`."""
        return self._wait(self._ctx.wait_for(event, match, timeout, name=name))

    def approval_link(
        self, event: type[Event] | str, match: Match = None, *, expires: Duration, name: str | None = None
    ) -> ApprovalLink:
        """As :meth:`Context.approval_link`."""
        return self._ctx.approval_link(event, match, expires=expires, name=name)

    def call(self, task: Task[Any], payload: BaseModel, *, name: str | None = None) -> Any:
        """As :meth:`Context.call`, awaited."""
        call = self._ctx.call(task, payload, name=name)

        async def awaited() -> Any:
            return await call

        return self._wait(awaited())

    def gather(self, *calls: Call, **options: Any) -> list[Any]:
        """As :meth:`Context.gather`; the calls are made by ``ctx.call``."""
        return self._wait(self._ctx.gather(*calls, **options))

    def map(self, task: Task[Any], payloads: Iterable[BaseModel], **options: Any) -> list[Any]:
        """As :meth:`Context.map`."""
        return self._wait(self._ctx.map(task, payloads, **options))

    def send(self, event: Event | str, *events: Any, **options: Any) -> Sent | list[Sent]:
        """As :meth:`Context.send`."""
        return self._wait(self._ctx.send(event, *events, **options))

    def progress(self, fraction: float, message: str = "") -> None:
        """As :meth:`Context.progress`."""
        self._wait(self._ctx.progress(fraction, message))

    def metadata(self, **fields: Any) -> None:
        """As :meth:`Context.metadata`."""
        self._wait(self._ctx.metadata(**fields))
