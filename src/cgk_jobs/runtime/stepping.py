"""One step of a handler: called once for the whole run, with a retry, a time limit and a way back of its own."""

from __future__ import annotations

import asyncio
import inspect
import random
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, replace
from datetime import datetime
from functools import partial
from typing import TYPE_CHECKING, Any, cast

from cgk_jobs.clock import to_micros
from cgk_jobs.errors import InvalidResult, InvalidTask, PayloadTooLarge, RetryAfter, StaleClaim, StepFailed
from cgk_jobs.events.sent import seconds
from cgk_jobs.runtime.history import Asked, Undo
from cgk_jobs.runtime.outcome import describe_error
from cgk_jobs.runtime.results import encode_result
from cgk_jobs.runtime.retry import delay_before, may_retry
from cgk_jobs.tasks.policy import Retry
from cgk_jobs.wire.json import dumps, loads

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["StepOptions", "run_step", "take_options"]

IN_PLACE = 3.0
"""Seconds between two tries that are waited for with the worker's slot in hand; a longer wait suspends the run."""

_NAMES = frozenset({"retry", "timeout", "undo", "connection"})
_jitter = random.Random()  # noqa: S311


@dataclass(frozen=True, slots=True)
class StepOptions:
    """How a step is done. ``timeout``: seconds. ``undo``: called with the step's result. ``count_first``: a try counts from
    its beginning, so that one whose worker died counts too."""

    retry: Retry | None = None
    timeout: float | None = None
    undo: Callable[[Any], Any] | None = None
    connection: Any = None
    count_first: bool = False

    def threaded(self) -> StepOptions:
        """The same, for a plain handler: its undo runs in a thread too."""
        undo = self.undo
        if undo is None:
            return self

        def in_thread(result: Any) -> Awaitable[Any]:
            return asyncio.to_thread(undo, result)

        return replace(self, undo=in_thread)


PLAIN = StepOptions()


def take_options(name: str, function: Callable[..., Any], kwargs: dict[str, Any]) -> StepOptions:
    """Take the options out of ``kwargs``; those the function has itself stay its own. Raises ``InvalidTask``."""
    given = _NAMES & kwargs.keys()
    if given:
        given -= inspect.signature(function).parameters.keys()
    if not given:
        return PLAIN
    values = {option: kwargs.pop(option) for option in given}
    retry, timeout = values.get("retry"), values.get("timeout")
    if retry is not None and not isinstance(retry, Retry):
        raise InvalidTask(f"step {name!r}: retry={retry!r}: give a Retry(…)")
    if timeout is not None:
        timeout = seconds(timeout)
        if not timeout > 0:
            raise InvalidTask(f"step {name!r}: timeout={timeout:g}: more than 0 seconds")
    return StepOptions(retry, timeout, _way_back(name, values.get("undo")), values.get("connection"))


def _way_back(name: str, undo: Any) -> Callable[[Any], Any] | None:
    if undo is None or callable(undo):
        return cast("Callable[[Any], Any] | None", undo)
    parts: list[Any] = list(undo) if isinstance(undo, tuple) else []  # pyright: ignore[reportUnknownArgumentType]
    if not parts or not callable(parts[0]):
        raise InvalidTask(f"step {name!r}: undo={undo!r}: a function of the step's result, or (function, argument, …)")
    whole: Callable[[], Any] = partial(parts[0], *parts[1:])

    def call(_: Any) -> Any:
        return whole()

    return call


async def run_step(
    ctx: Context, name: str, call: Callable[[], Any], options: StepOptions, *, undoing: bool = False
) -> Any:
    """The step's result: from the journal, or by ``call``; see ``Context.step``."""
    history = ctx.history
    asked = await history.ask(name, undoing=undoing)
    entry = asked.entry
    if entry is not None and not entry.pending:
        if entry.failed:
            raise history.answered(StepFailed(loads(entry.result or "{}").get("error", f"step {name!r} failed")))
        stored = entry.result
    elif options is PLAIN:
        try:
            with history.at_work(), history.inside_step():
                result = call()
                if inspect.isawaitable(result):
                    result = await result
                stored = _encoded(ctx, asked, result)
                await history.write(history.entry_of(asked, stored))
        except Exception:
            history.step_failed = True
            raise
    else:
        _check_time(ctx, asked, options.timeout)
        try:
            stored = await _try(ctx, asked, call, options)
        except Exception:
            history.step_failed = True
            raise
    value = None if stored is None else loads(stored)
    if options.undo is not None:
        history.undos.append(Undo(asked.place, asked.name, partial(options.undo, value)))
    return value


def _encoded(ctx: Context, asked: Asked, result: Any) -> str | None:
    return encode_result(f"the result of step {asked.name!r}", result, ctx.services.max_result_bytes)


def _check_time(ctx: Context, asked: Asked, timeout: float | None) -> None:
    if timeout is None:
        return
    if timeout > ctx.timeout:
        raise InvalidTask(
            f"step {asked.name!r} may take {timeout:g} s, and its task only {ctx.timeout:g} s: raise the task's timeout="
        )
    left = (to_micros(ctx.deadline) - ctx.services.clock.micros()) / 1e6
    if timeout > left:
        raise TimeoutError(
            f"step {asked.name!r} may take {timeout:g} s, and this attempt has {left:.0f} s left: raise the task's timeout= "
            "(a later attempt has more time, as finished steps take none)"
        )


async def _try(ctx: Context, asked: Asked, call: Callable[[], Any], options: StepOptions) -> str | None:
    """Call until it succeeds or the step's retries are used up; each failure is journalled before the next try."""
    history, clock = ctx.history, ctx.services.clock
    known: Mapping[str, Any] = {} if asked.entry is None or asked.entry.result is None else loads(asked.entry.result)
    tries, error = int(known.get("tries", 0)), known.get("error")
    due_at = known.get("until")
    policy = options.retry
    while True:
        if due_at is not None:
            await _wait_until(ctx, due_at)
        if policy is not None and tries >= policy.max_attempts:
            raise await _give_up(ctx, asked, tries, error or "its worker process ended", None)
        tries += 1
        if options.count_first:
            await history.write(history.entry_of(asked, dumps({"tries": tries, "error": error}), pending=1))
        try:
            with history.at_work():
                return await _call(ctx, asked, call, options)
        except (StaleClaim, InvalidResult, PayloadTooLarge):
            # What can't be kept can't be kept the next time either, and the function would do its work once more.
            raise
        except Exception as failure:
            if policy is None:
                raise
            error = describe_error(failure)
            if not may_retry(policy, tries, failure):
                raise await _give_up(ctx, asked, tries, error, failure) from failure
            due_at = _next_try(policy, tries, failure, clock.micros())
        stored = dumps({"tries": tries, "error": error, "until": due_at})
        await history.write(history.entry_of(asked, stored, pending=1))
        ctx.log.warning("step %s failed and is to be tried again (try %d): %s", asked.name, tries, error)


def _next_try(policy: Retry, tries: int, failure: Exception, now: int) -> int:
    if isinstance(failure, RetryAfter):
        return to_micros(failure.when) if isinstance(failure.when, datetime) else now + round(failure.when * 1e6)
    return now + round(delay_before(policy, tries, _jitter.random()) * 1e6)


async def _give_up(ctx: Context, asked: Asked, tries: int, error: str, cause: Exception | None) -> BaseException:
    history = ctx.history
    text = f"step {asked.name!r} failed after {tries} {'try' if tries == 1 else 'tries'}: {error}"
    await history.write(history.entry_of(asked, dumps({"error": text, "tries": tries}), failed=True))
    failed = StepFailed(text)
    failed.__cause__ = cause
    return history.answered(failed)


async def _wait_until(ctx: Context, due_at: int) -> None:
    clock = ctx.services.clock
    wait = (due_at - clock.micros()) / 1e6
    if wait <= 0:
        return
    if wait > IN_PLACE or clock.manual:
        ctx.history.refuse_inside("a step whose retry waits")
        await ctx.history.park(due_at)
    await asyncio.sleep(wait)


async def _call(ctx: Context, asked: Asked, call: Callable[[], Any], options: StepOptions) -> str | None:
    history = ctx.history
    if options.connection is None:
        stored = _encoded(ctx, asked, await _limited(ctx, call, options.timeout))
        await history.write(history.entry_of(asked, stored, undoable=options.undo is not None))
        return stored
    # The fence is checked and the entry written as the last statements before the commit.
    async with ctx.services.journal.step_transaction(options.connection, ctx.claim) as transaction:
        stored = _encoded(ctx, asked, await _limited(ctx, call, options.timeout))
        entry = history.entry_of(asked, stored, undoable=options.undo is not None)
        if not await transaction.record(entry):
            raise history.lost(f"step {asked.name!r}")
    history.note(entry)
    return stored


async def _limited(ctx: Context, call: Callable[[], Any], timeout: float | None) -> Any:
    with ctx.history.inside_step():
        if timeout is None:
            return await _awaited(call())
        limit = asyncio.timeout(timeout)
        try:
            async with limit:
                # A plain function would hold the loop, and no limit could end it: it runs in a thread, which nobody waits
                # for once the time is over.
                return await _awaited(call() if _is_async(call) else await asyncio.to_thread(call))
        except TimeoutError as error:
            if limit.expired():
                raise TimeoutError(f"the step took longer than its {timeout:g} s") from error
            raise


def _is_async(call: Callable[[], Any]) -> bool:
    function: Any = call
    while isinstance(function, partial):
        function = function.func
    return inspect.iscoroutinefunction(function)


async def _awaited(result: Any) -> Any:
    return await result if inspect.isawaitable(result) else result
