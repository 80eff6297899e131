"""The pipeline of one attempt, whoever delivered it: decode, enter the tenant, call the handler, say how it ended."""

from __future__ import annotations

import asyncio
import contextlib
import contextvars
import logging
from collections.abc import Awaitable, Callable
from concurrent.futures import Executor
from datetime import UTC, datetime
from functools import partial
from typing import Any, Literal, Protocol, cast
from zoneinfo import ZoneInfo

from cgk_jobs.clock import from_micros
from cgk_jobs.errors import (
    InvalidEvent,
    InvalidTask,
    JobsError,
    JournalMismatch,
    RunCancelled,
    StaleClaim,
    UnknownEvent,
)
from cgk_jobs.events.codec import decode
from cgk_jobs.runtime.context import Context, Services
from cgk_jobs.runtime.context_sync import in_main_thread, worker_loop
from cgk_jobs.runtime.delivery import Claim
from cgk_jobs.runtime.history import Suspend
from cgk_jobs.runtime.outcome import (
    Cancelled,
    Completed,
    Failed,
    Lost,
    Outcome,
    PutBack,
    Suspended,
    Undoing,
    describe_error,
    is_final,
)
from cgk_jobs.runtime.results import encode_result
from cgk_jobs.runtime.undoing import has_undoable, undo_steps
from cgk_jobs.tasks.schedule import Tick
from cgk_jobs.tasks.task import Task
from cgk_jobs.tenancy.context import PLATFORM_SCOPE, enter_scope, tenant_scope
from cgk_jobs.tenancy.ids import PLATFORM
from cgk_jobs.wire.json import dumps, loads

__all__ = ["Attempt", "EndReason", "Isolated", "Pipeline", "newer_version_hold"]

_logger = logging.getLogger("cgk_jobs.run")

UNDO_CRASHES = 25
"""How often workers may die of a run that is being undone."""

EndReason = Literal["", "timeout", "cancel", "drain", "lost"]


def newer_version_hold(task: str) -> str:
    """Why a run is parked whose event's version is newer than this code's; freed when a process with that task starts."""
    return f"newer-version:{task}"


class Isolated(Protocol):
    """Runs handlers in processes of their own; the pool of ``runtime/processes.py``."""

    async def run(self, attempt: Attempt) -> str | None:
        """The handler's result as JSON. Raises what the handler raised."""
        ...


class Attempt:
    """One attempt while it runs. ``why`` is set by whoever ends it from outside, before it cancels ``task``."""

    __slots__ = ("claim", "context", "deadline", "declared", "entered", "in_thread", "runner", "started", "why")

    def __init__(self, claim: Claim, declared: Task[Any]) -> None:
        self.claim = claim
        self.declared = declared
        self.why: EndReason = ""
        self.context: Context | None = None
        self.runner: asyncio.Task[None] | None = None
        self.deadline = float("inf")
        """When its time is over, on the loop's clock; set once the handler has begun."""
        self.entered = False
        """Its task has taken its first step: one cancelled before never runs, and so would never say how it ended."""
        self.in_thread = False
        """A plain handler has it in a thread, which can't be ended from outside."""
        self.started = False
        """The handler itself has begun: its time counts from here, not from the wait for a thread or process."""

    def end(self, why: EndReason) -> None:
        """End it from outside: an async handler is cancelled where it waits, a plain one at its next checkpoint.

        A cancelled run's thread is waited for: it is not called cancelled while its code still runs. Only the end of its
        time, or of the worker, leaves a thread to itself.
        """
        if self.why and not (self.why == "cancel" and self.in_thread and why != "cancel"):
            return
        self.why = self.why or why
        if self.context is not None:
            self.context.cancelled = True
        if why == "cancel" and self.in_thread:
            return
        if self.runner is not None and self.entered:
            self.runner.cancel()


class Pipeline:
    """Runs attempts. ``threads`` and ``processes`` are where plain handlers run."""

    def __init__(
        self, services: Services, *, threads: Executor, processes: Isolated, on_start: Callable[[Attempt], None]
    ) -> None:
        self._services = services
        self._threads = threads
        self._processes = processes
        self._on_start = on_start
        self._contexts: dict[str, contextvars.Context] = {}

    def context_of(self, tenant_id: str) -> contextvars.Context:
        """A fresh context for an attempt: nothing of the worker's, nothing of other attempts, only the tenant."""
        base = self._contexts.get(tenant_id)
        if base is None:
            if len(self._contexts) > 1_000:
                self._contexts.clear()
            base = self._contexts[tenant_id] = contextvars.Context()
            base.run(enter_scope, PLATFORM_SCOPE if tenant_id == PLATFORM else tenant_scope(tenant_id))
        return base.copy()

    async def run(self, attempt: Attempt) -> Outcome:
        """Run an attempt to its end. Whatever the handler does, it raises nothing of it."""
        try:
            return await self._run(attempt)
        except asyncio.CancelledError as error:
            return self._ending(attempt, error)

    async def _run(self, attempt: Attempt) -> Outcome:
        claim, declared = attempt.claim, attempt.declared
        attempt.entered = True
        if attempt.why:
            return self._ending(attempt, asyncio.CancelledError())
        try:
            event = decode_input(claim, declared)
        except UnknownEvent:
            return PutBack(newer_version_hold(claim.task))
        except (InvalidEvent, ValueError) as error:
            return Failed(error, final=True)
        except Exception as error:  # an upcaster of the application
            return Failed(error)
        context = Context(claim, event, declared.retry.max_attempts, declared.timeout, self._services)
        attempt.context = context
        if claim.failing is not None:
            return await self._undo(attempt, event, context)
        if claim.attempt > declared.retry.max_attempts:
            # Its worker died during the last one. There is nobody else who could have counted.
            outcome: Outcome = Failed(RuntimeError("the worker process ended during the last attempt"), final=True)
        else:
            outcome = await self._handle(attempt, event, context)
        history = context.used_history
        if history is not None:
            # Its time may be over while a strand it left behind takes long to end: how the handler ended stands.
            with contextlib.suppress(asyncio.CancelledError):
                await history.close()
            if history.mismatch is not None and type(outcome) in (Completed, Failed):
                return Failed(history.mismatch, final=True)
            if type(outcome) is Completed and history.not_asked:
                context.log.warning("the handler ended without steps its journal has: %s", ", ".join(history.not_asked))
        if type(outcome) is Failed and (history is not None or claim.token > 1):
            return await self._undoing_first(attempt, context, outcome)
        return outcome

    async def _handle(self, attempt: Attempt, event: Any, context: Context) -> Outcome:
        declared = attempt.declared
        try:
            if declared.middleware:
                result = await _wrapped(declared, context, partial(self._call, attempt, event, context))
            elif declared.is_async:
                attempt.started = True
                self._on_start(attempt)
                handler = declared.handler
                result = await (handler(event, context) if declared.wants_context else handler(event))
            else:
                result = await self._call(attempt, event, context)
            if result is None:
                return Completed(None)
            return Completed(encode_result("the handler's result", result, self._services.max_result_bytes))
        except BaseException as error:
            return self._ending(attempt, error)

    async def _undoing_first(self, attempt: Attempt, context: Context, outcome: Failed) -> Outcome:
        """The failure itself, or, if it is final and finished steps have a way back, that they are to be undone."""
        declared = attempt.declared
        if isinstance(outcome.error, JournalMismatch) or not is_final(outcome, declared.retry, attempt.claim.attempt):
            return outcome
        try:
            return Undoing(outcome.error) if await has_undoable(context) else outcome
        except asyncio.CancelledError as error:
            return self._ending(attempt, error)
        except JobsError as error:
            # The ledger does not answer: without its journal nobody can say what is to be undone. As if drained.
            _logger.error("run %s failed, and its journal can't be read: %s", context.run_id, error)
            return PutBack()

    async def _undo(self, attempt: Attempt, event: Any, context: Context) -> Outcome:
        """One pass of a run that is being undone."""
        claim, declared = attempt.claim, attempt.declared
        if claim.attempt > declared.retry.max_attempts + UNDO_CRASHES:
            return Failed(RuntimeError(), final=True, text=f"{claim.failing}; undo: its workers died, again and again")
        passed = await self._handle(attempt, event, context)
        history = context.history
        await history.end_strands()
        why: EndReason = attempt.why
        if why == "timeout":
            text = f"{claim.failing}; undo: the handler took too long to come to its steps again"
            return Failed(TimeoutError(), final=True, text=text)
        if why:
            return passed
        outcome: Outcome
        try:
            outcome = await undo_steps(context, declared.retry)
        except BaseException as error:
            if attempt.why == "timeout":
                # The try was counted when it began: the next pass makes another, or goes on to the next step.
                return Suspended(self._services.clock.micros())
            outcome = self._ending(attempt, error)
            if isinstance(outcome, Failed):
                text = f"{claim.failing}; undo: {describe_error(error)}"
                outcome = Failed(error, final=True, text=text)
        await history.close()
        return outcome

    async def _call(self, attempt: Attempt, event: Any, context: Context) -> Any:
        declared = attempt.declared
        if declared.isolation == "process":
            text = await self._processes.run(attempt)
            return None if text is None else loads(text)
        arguments = (event, context) if declared.wants_context else (event,)
        attempt.started = True
        self._on_start(attempt)
        if declared.is_async:
            return await declared.handler(*arguments)
        loop = asyncio.get_running_loop()
        inside = contextvars.copy_context()
        inside.run(worker_loop.set, loop)
        attempt.in_thread = True
        try:
            work = partial(_begin, context, declared.handler, arguments)
            return await loop.run_in_executor(self._threads, partial(inside.run, partial(in_main_thread, work)))
        finally:
            attempt.in_thread = False

    def _ending(self, attempt: Attempt, error: BaseException) -> Outcome:
        context = attempt.context
        if _is_suspension(error):
            return Suspended(None if context is None else context.history.wake_at)
        if context is not None and context.used_history is not None and context.used_history.is_answer(error):
            return Failed(error, final=True)
        if isinstance(error, StaleClaim) or attempt.why == "lost":
            return Lost()
        if isinstance(error, asyncio.CancelledError | RunCancelled):
            told = context is not None and context.cancelled and isinstance(error, RunCancelled)
            if attempt.why == "cancel" or (told and not attempt.why):
                return Cancelled()
            if attempt.why == "drain":
                return PutBack()
            if attempt.why == "timeout":
                return Failed(TimeoutError(f"the attempt took longer than its {attempt.declared.timeout:g} s"))
            return Failed(RuntimeError(f"the handler ended itself by {type(error).__name__}"))
        if isinstance(error, KeyboardInterrupt | SystemExit | GeneratorExit):
            return Failed(RuntimeError(f"the handler raised {type(error).__name__}"))
        return Failed(error, final=isinstance(error, InvalidTask))


def _is_suspension(error: BaseException) -> bool:
    """Also if a task group of the handler has wrapped it, and what else it wrapped are strands it ended for it."""
    if isinstance(error, BaseExceptionGroup):
        parts = cast("BaseExceptionGroup[BaseException]", error).exceptions
        ended = all(_is_suspension(part) or isinstance(part, asyncio.CancelledError) for part in parts)
        return ended and any(map(_is_suspension, parts))
    return isinstance(error, Suspend)


def _begin(context: Context, handler: Callable[..., Any], arguments: tuple[Any, ...]) -> Any:
    # The thread may have been waited for.
    context.check_cancelled()
    return handler(*arguments)


async def _wrapped(declared: Task[Any], context: Context, call: Callable[[], Awaitable[Any]]) -> Any:
    for middleware in reversed(declared.middleware):
        call = partial(middleware, context, call)
    return await call()


def decode_input(claim: Claim, declared: Task[Any]) -> Any:
    """What the handler gets first: its event, its payload model, the tick, or a list. Raises ``InvalidEvent``."""
    if declared.flow.batch is not None:
        return [_decode_one(claim, declared, text) for text in _batched(claim.payload)]
    return _decode_one(claim, declared, claim.payload)


def _batched(payload: str) -> list[str]:
    """The events of a batch, each as text; one stored before its task gathered any is a batch of one."""
    values = loads(payload)
    if not isinstance(values, list):
        return [payload]
    return [dumps(value) for value in cast("list[object]", values)]


def _decode_one(claim: Claim, declared: Task[Any], payload: str) -> Any:
    on = declared.on
    if on is not None:
        event = decode(on, claim.event_version, payload)
        if event.tenant_id != claim.tenant_id:
            raise InvalidEvent(
                f"a run of tenant {claim.tenant_id!r} has an event of another one: look how it was stored"
            )
        return event
    if declared.schedule is not None:
        return _decode_tick(claim)
    model = declared.payload
    if model is None:
        raise InvalidEvent(f"task {claim.task} takes no payload in this code: deploy the code that sent it")
    return model.model_validate_json(payload)


def _decode_tick(claim: Claim) -> Tick:
    values = loads(claim.payload)
    moment = from_micros(values["at"])
    previous: int | None = values["previous"]
    zone = UTC if values["timezone"] == "UTC" else ZoneInfo(values["timezone"])
    local: datetime = moment.astimezone(zone)
    return Tick(
        tenant_id=claim.tenant_id,
        schedule=claim.task,
        scheduled_at=moment,
        local_time=local,
        timezone=values["timezone"],
        previous_at=None if previous is None else from_micros(previous),
        missed=values["missed"],
    )
