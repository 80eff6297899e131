"""CPU-bound handlers in processes of their own: one process for each slot, so that a killed one takes no other run with it.

Processes are spawned, never forked: a forked child would inherit locks, loops and database connections. The child imports
the module of the handler, gets event and tenant explicitly, and talks back over a pipe.
"""

from __future__ import annotations

import asyncio
import contextlib
import importlib
import logging
import multiprocessing
import os
import threading
import traceback
from collections.abc import Callable
from multiprocessing.connection import Connection
from multiprocessing.process import BaseProcess
from typing import Any, cast

from cgk_jobs.errors import InvalidTask, NonRetryable, RetryAfter, Unsupported
from cgk_jobs.runtime.delivery import Claim
from cgk_jobs.runtime.execute import Attempt, decode_input
from cgk_jobs.runtime.outcome import message_of
from cgk_jobs.runtime.results import encode_result
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenancy.context import PLATFORM_SCOPE, enter_scope, tenant_scope
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.ids import to_id
from cgk_jobs.wire.json import loads

__all__ = ["ProcessContext", "ProcessPool", "RemoteError"]

_logger = logging.getLogger("cgk_jobs.run")


class RemoteError(Exception):
    """What a handler raised in its process: the type's name, the message, and the trace as text."""

    def __init__(self, name: str, message: str, trace: str) -> None:
        super().__init__(f"{name}: {message}" if message else name)
        self.name = name
        self.trace = trace


class ProcessContext:
    """A handler's second argument inside a process: who it is, ``log``, ``progress``, ``metadata``, ``check_cancelled``."""

    def __init__(self, claim: Claim, max_attempts: int, event: Any, pipe: Connection) -> None:
        self.tenant_id = claim.tenant_id
        self.run_id = to_id(claim.seq, claim.nonce)
        self.attempt = claim.attempt
        self.max_attempts = max_attempts
        self.fence = claim.token
        self.tags = tuple(claim.tags.split(",")) if claim.tags else ()
        self.event = event
        self._pipe = pipe
        # Not of the logging tree: what it takes goes to the worker, which logs and keeps it.
        self.log = logging.Logger(f"cgk_jobs.run.{claim.task}", logging.INFO)  # noqa: LOG001
        self.log.addHandler(_PipeHandler(pipe))

    def progress(self, fraction: float, message: str = "") -> None:
        """Keep how far the run is (0 to 1)."""
        if not 0 <= fraction <= 1:
            raise ValueError(f"progress({fraction}): a share from 0 to 1")
        self._pipe.send(("progress", fraction, message))

    def metadata(self, **fields: Any) -> None:
        """Keep small facts about the run; see :meth:`Context.metadata`. One too many fails the attempt."""
        self._pipe.send(("metadata", encode_result("the metadata", fields)))

    def check_cancelled(self) -> None:
        """For code that also runs in threads. Here a run that is cancelled or out of time is over: its process is killed."""

    def idempotency_key(self, step: str) -> str:
        """A key for calls to the outside: the same in every attempt of this run and step."""
        return f"{self.run_id}:{step}"

    def __getattr__(self, name: str) -> Any:
        if name in _NOT_HERE:
            raise Unsupported(
                f"ctx.{name}", 'isolation="process"', "Do it in a task of its own that sends an event to this one."
            )
        raise AttributeError(name)


_NOT_HERE = frozenset(
    ("step", "sleep", "sleep_until", "send", "sync", "wait_for", "approval_link", "call", "gather", "map")
)


class _PipeHandler(logging.Handler):
    def __init__(self, pipe: Connection) -> None:
        super().__init__()
        self._pipe = pipe

    def emit(self, record: logging.LogRecord) -> None:
        self._pipe.send(("log", record.levelno, record.getMessage()))


def _child_main(pipe: Connection) -> None:
    """The child: one attempt after another until the pipe closes."""
    while True:
        try:
            place, claim = pipe.recv()
        except (EOFError, OSError, KeyboardInterrupt):
            return
        pipe.send(_child_run(place, Claim(*claim), pipe))


def _child_run(place: tuple[str, str], claim: Claim, pipe: Connection) -> tuple[str, Any]:
    try:
        declared = _find(place)
        enter_scope(PLATFORM_SCOPE if claim.tenant_id == PLATFORM else tenant_scope(claim.tenant_id))
        event = decode_input(claim, declared)
        context = ProcessContext(claim, declared.retry.max_attempts, event, pipe)
        handler = declared.handler
        result = handler(event, context) if declared.wants_context else handler(event)
        return ("result", encode_result("the handler's result", result))
    except RetryAfter as error:
        return ("retry_after", error.when)
    except BaseException as error:
        final = isinstance(error, NonRetryable)
        names = [kind.__name__ for kind in type(error).__mro__]
        return ("error", (type(error).__name__, message_of(error), traceback.format_exc(), final, names))


def _find(place: tuple[str, str]) -> Task[Any]:
    module, name = place
    found: Any = importlib.import_module(module)
    for part in name.split("."):
        found = getattr(found, part)
    if isinstance(found, Task):
        declared: Task[Any] = found  # pyright: ignore[reportUnknownVariableType]
        return declared
    raise InvalidTask(f"{module}.{name} is no task: declare it at the top level of the module")


def place_of(declared: Task[Any]) -> tuple[str, str]:
    """Where a child finds the task. Raises ``InvalidTask`` for one it can't import."""
    module, name = declared.handler.__module__, declared.handler.__qualname__
    if "<" in name or module == "__main__":
        raise InvalidTask(
            f'task {declared.id}: isolation="process" needs a handler at the top level of a module that can be '
            f"imported, not {module}.{name}"
        )
    return module, name


class _Slot:
    def __init__(self) -> None:
        self.process: BaseProcess | None = None
        self.pipe: Connection | None = None


class ProcessPool:
    """Up to ``size`` processes, started when first needed and used again. Waiting for a free one costs no time limit."""

    def __init__(self, size: int | None = None) -> None:
        self._size = size or os.cpu_count() or 1
        self._free = [_Slot() for _ in range(self._size)]
        self._room = asyncio.Semaphore(self._size)
        self._spawn = multiprocessing.get_context("spawn")
        self.on_start: Callable[[Attempt], None] | None = None

    async def run(self, attempt: Attempt) -> str | None:
        """Run an attempt in a process; the handler's result as JSON. A cancelled one's process is killed."""
        place = place_of(attempt.declared)
        async with self._room:
            slot = self._free.pop()
            try:
                kind, value = await self._run(slot, place, attempt)
            except BaseException:
                await asyncio.shield(asyncio.to_thread(_discard, slot))
                raise
            finally:
                self._free.append(slot)
        # What the handler raised is its answer too: the process is as good as before.
        return _answer(kind, value, attempt)

    async def _run(self, slot: _Slot, place: tuple[str, str], attempt: Attempt) -> tuple[str, Any]:
        if slot.process is None or not slot.process.is_alive():
            await asyncio.to_thread(self._start, slot)
        pipe = slot.pipe
        if pipe is None:
            raise RuntimeError("the process did not start")
        attempt.started = True
        if self.on_start is not None:
            self.on_start(attempt)
        pipe.send((place, tuple(attempt.claim)))
        while True:
            kind, *values = await _receive(pipe)
            context = attempt.context
            if kind == "log":
                if context is not None:
                    context.log.log(values[0], "%s", values[1])
            elif kind == "progress":
                if context is not None:
                    await context.progress(values[0], values[1])
            elif kind == "metadata":
                if context is not None:
                    await context.metadata(**loads(values[0]))
            else:
                return kind, values[0]

    def _start(self, slot: _Slot) -> None:
        slot.pipe, other = self._spawn.Pipe()
        slot.process = self._spawn.Process(target=_child_main, args=(other,), daemon=True, name="cgk-jobs-task")
        slot.process.start()
        other.close()

    def close(self) -> None:
        """End every process."""
        for slot in self._free:
            _discard(slot)


def _answer(kind: str, value: Any, attempt: Attempt) -> str | None:
    if kind == "result":
        return cast("str | None", value)
    if kind == "retry_after":
        raise RetryAfter(value)
    name, message, trace, final, names = value
    if final:
        raise NonRetryable(message)
    known = {kind.__name__: kind for kind in (*attempt.declared.retry.retry_on, *attempt.declared.retry.give_up_on)}
    for candidate in names:
        # What the policy speaks of is raised as that type again, as far as it takes a message.
        if candidate in known:
            raise known[candidate](message)
    raise RemoteError(name, message, trace)


async def _receive(pipe: Connection) -> tuple[Any, ...]:
    loop = asyncio.get_running_loop()
    future: asyncio.Future[tuple[Any, ...]] = loop.create_future()

    def wait() -> None:
        try:
            message: Any = pipe.recv()
        except (EOFError, OSError):
            message = None
        with contextlib.suppress(RuntimeError):
            loop.call_soon_threadsafe(deliver, message)

    def deliver(message: Any) -> None:
        if future.done():
            return
        if message is None:
            future.set_exception(RuntimeError("the process of the handler ended"))
        else:
            future.set_result(message)

    # A thread for each running process, not one of the handlers' pool: those may all be taken.
    threading.Thread(target=wait, name="cgk-jobs-pipe", daemon=True).start()
    return await future


def _discard(slot: _Slot) -> None:
    process, pipe = slot.process, slot.pipe
    slot.process = slot.pipe = None
    if process is not None:
        process.kill()
        process.join()
        process.close()
    if pipe is not None:
        pipe.close()
