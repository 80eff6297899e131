"""An event loop in a thread of its own, for programs that have none: Flask, Django, scripts."""

from __future__ import annotations

import asyncio
import contextvars
import threading
from collections.abc import Coroutine
from typing import Any, TypeVar

__all__ = ["LoopThread"]

T = TypeVar("T")


class LoopThread:
    """Started with the first call; a daemon, so it never keeps a program from ending."""

    def __init__(self) -> None:
        self._lock = threading.Lock()
        self._loop: asyncio.AbstractEventLoop | None = None
        self._thread: threading.Thread | None = None

    def _started(self) -> asyncio.AbstractEventLoop:
        with self._lock:
            if self._loop is None or self._thread is None or not self._thread.is_alive():
                loop = self._loop = asyncio.new_event_loop()
                self._thread = threading.Thread(target=loop.run_forever, name="cgk-jobs-loop", daemon=True)
                self._thread.start()
            return self._loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop, with the caller's tenant current, and wait for its answer."""
        loop = self._started()
        context = contextvars.copy_context()
        done: asyncio.Future[T] | Any = None

        async def inside() -> T:
            # A task made in the caller's context: run_coroutine_threadsafe would take the loop thread's.
            task = loop.create_task(work, context=context)
            return await task

        done = asyncio.run_coroutine_threadsafe(inside(), loop)
        try:
            answer: T = done.result()
        except BaseException:
            done.cancel()
            raise
        return answer

    def close(self) -> None:
        """Stop the loop and wait for its thread; the next call starts another."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()
            loop.close()
