"""Between threads and event loops: blocking callers wait for a coroutine, and lend it their thread meanwhile.

A program without event loop (Flask, Django, a script) gets one in a thread of its own. What belongs to the caller's thread, a
database connection of its, is used there and nowhere else: the coroutine asks by ``on_callers_thread``.
"""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Callable, Coroutine
from contextvars import ContextVar, copy_context
from queue import SimpleQueue
from typing import Any, TypeVar

__all__ = ["LoopThread", "has_calling_thread", "on_callers_thread", "wait_for"]

T = TypeVar("T")

_Errand = Callable[[], None]
_caller: ContextVar[SimpleQueue[_Errand | None] | None] = ContextVar("cgk_jobs_caller", default=None)
"""Where the thread that waits for this coroutine takes its errands from."""


def has_calling_thread() -> bool:
    """Whether another thread waits for this coroutine."""
    return _caller.get() is not None


async def on_callers_thread(function: Callable[[], T]) -> T:
    """Run ``function`` in the thread that waits for this coroutine; in this one if none does."""
    errands = _caller.get()
    if errands is None:
        return function()
    loop = asyncio.get_running_loop()
    answer: asyncio.Future[T] = loop.create_future()

    def give(result: Callable[[], None]) -> None:
        if not answer.done():
            result()

    def errand() -> None:
        try:
            result = function()
        except Exception as error:
            loop.call_soon_threadsafe(give, lambda error=error: answer.set_exception(error))
        else:
            loop.call_soon_threadsafe(give, lambda: answer.set_result(result))

    errands.put(errand)
    return await answer


def wait_for(work: Coroutine[Any, Any, T], loop: asyncio.AbstractEventLoop) -> T:
    """Run ``work`` on a loop of another thread, with the caller's tenant current, and wait for its answer."""
    errands: SimpleQueue[_Errand | None] = SimpleQueue()
    context = copy_context()
    context.run(_caller.set, errands)

    async def inside() -> T:
        # A task made in the caller's context: run_coroutine_threadsafe would take the loop thread's.
        return await loop.create_task(work, context=context)

    done = asyncio.run_coroutine_threadsafe(inside(), loop)
    done.add_done_callback(lambda _: errands.put(None))
    try:
        while (errand := errands.get()) is not None:
            errand()
        return done.result()
    except BaseException:
        done.cancel()
        raise


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
                self._thread = threading.Thread(target=_serve, args=(loop,), name="cgk-jobs-loop", daemon=True)
                self._thread.start()
            return self._loop

    def call(self, work: Coroutine[Any, Any, T]) -> T:
        """Run ``work`` on the loop, with the caller's tenant current, and wait for its answer."""
        return wait_for(work, self._started())

    def close(self) -> None:
        """Stop the loop and wait for its thread; the next call starts another."""
        with self._lock:
            loop, thread, self._loop, self._thread = self._loop, self._thread, None, None
        if loop is not None and thread is not None:
            loop.call_soon_threadsafe(loop.stop)
            thread.join()


def _serve(loop: asyncio.AbstractEventLoop) -> None:
    try:
        loop.run_forever()
        loop.run_until_complete(_finish())
    finally:
        loop.close()


async def _finish() -> None:
    left = asyncio.all_tasks() - {asyncio.current_task()}
    for task in left:
        task.cancel()
    await asyncio.gather(*left, return_exceptions=True)
    # Connections that were ended have then let go of their sockets too.
    await asyncio.sleep(0)
