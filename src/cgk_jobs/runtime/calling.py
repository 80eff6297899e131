"""Runs that a handler calls and waits for: one, several at once, or one for each of many payloads."""

from __future__ import annotations

from collections.abc import Generator, Iterable, Sequence
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel

from cgk_jobs.errors import (
    CallTooDeep,
    InvalidEvent,
    InvalidTask,
    JournalMismatch,
    RunCancelled,
    RunExpired,
    RunFailed,
    TenantMismatch,
)
from cgk_jobs.events.codec import encode, encode_payload
from cgk_jobs.events.event import Event
from cgk_jobs.runtime.entries import ChildCall, JournalEntry, child_entry
from cgk_jobs.runtime.history import Asked
from cgk_jobs.tasks.task import Task
from cgk_jobs.wire.json import dumps, loads

if TYPE_CHECKING:
    from cgk_jobs.runtime.context import Context

__all__ = ["Call", "as_calls", "call_alone", "call_group", "prepare"]

AT_ONCE = 1_000
"""Children made in one transaction."""


class Call:
    """A run that is to be made when this is awaited, or handed to ``ctx.gather``."""

    __slots__ = ("_ctx", "_name", "child", "used")

    def __init__(self, ctx: Context, child: ChildCall, name: str | None) -> None:
        self._ctx = ctx
        self._name = name
        self.child = child
        self.used = False

    def __await__(self) -> Generator[Any, Any, Any]:
        self.used = True
        return call_alone(self._ctx, self.child, self._name or self.child.task).__await__()


def prepare(ctx: Context, task: Task[Any], payload: BaseModel) -> ChildCall:
    """What is stored of a call. Raises ``InvalidTask``, ``InvalidEvent``, ``TenantMismatch``, ``CallTooDeep``."""
    ctx.history.refuse_inside("a call of another task")
    if not isinstance(task, Task):  # pyright: ignore[reportUnnecessaryIsInstance]  # people give the function's name
        raise InvalidTask(f"call({task!r}, …): give the task itself, as @jobs.task made it")
    expected = task.on or task.payload
    if expected is None:
        raise InvalidTask(f"call: task {task.id} runs on a schedule and takes no payload")
    if not isinstance(payload, expected):
        raise InvalidEvent(f"call: task {task.id} takes {expected.__name__}, not {type(payload).__name__}")
    if ctx.claim.depth >= ctx.services.max_depth:
        raise CallTooDeep(
            f"{ctx.task_id} calls {task.id} {ctx.services.max_depth} calls below the first run: look for a task that calls "
            "itself, or raise Jobs(max_call_depth=…)"
        )
    theirs = getattr(payload, "tenant_id", None)
    if theirs is not None and theirs != ctx.tenant_id:
        raise TenantMismatch(
            f"a run of tenant {ctx.tenant_id!r} can't call one of {theirs!r}: a child has its parent's tenant. "
            "Send an event across tenants instead"
        )
    limit = ctx.services.max_result_bytes
    if isinstance(payload, Event):
        return ChildCall(task.id, payload.event_name, payload.event_version, encode(payload, limit))
    return ChildCall(task.id, "", 1, encode_payload(payload, f"call: task {task.id}", limit))


async def call_alone(ctx: Context, child: ChildCall, name: str) -> Any:
    """Make one child, wait for it, and return its result; raises how it ended otherwise."""
    history = ctx.history
    asked = await history.ask(name)
    entry = asked.entry
    if entry is None:
        entry = history.entry_of(asked, None, pending=1)
        with history.at_work():
            await _make(ctx, entry, [child], 0, None)
    if entry.pending:
        await history.park(None)
    outcome = _outcome(child.task, entry.result)
    if isinstance(outcome, BaseException):
        raise history.answered(outcome)
    return outcome


async def call_group(
    ctx: Context, calls: Sequence[ChildCall], name: str, concurrency: int | None, *, return_exceptions: bool
) -> list[Any]:
    """Make children, wait until all have ended, and return their results in order."""
    history = ctx.history
    asked = await history.ask(name)
    if asked.entry is None and not calls:
        await history.write(history.entry_of(asked, dumps({"count": 0})))
        return []
    if asked.entry is None or asked.entry.pending:
        await _spawn(ctx, asked, calls, concurrency)
        await history.park(None)
    _check_count(asked, calls)
    entries = await history.load()
    results: list[Any] = []
    first: BaseException | None = None
    for index, call in enumerate(calls):
        entry = entries[child_entry(asked.name, index)]
        outcome = _outcome(call.task, entry.result)
        if isinstance(outcome, BaseException):
            history.answered(outcome)
            first = first or outcome
        results.append(outcome)
    if first is not None and not return_exceptions:
        raise first
    return results


async def _spawn(ctx: Context, asked: Asked, calls: Sequence[ChildCall], concurrency: int | None) -> None:
    history = ctx.history
    _check_count(asked, calls)
    entries = await history.load()
    # A crash between two portions: what is in the journal was made, the rest is made now.
    made = 0
    if asked.entry is not None:
        while made < len(calls) and child_entry(asked.name, made) in entries:
            made += 1
    else:
        history.reserve(len(calls))
    group = history.entry_of(asked, dumps({"count": len(calls)}), pending=len(calls))
    with history.at_work():
        for first in range(made, len(calls), AT_ONCE):
            await _make(ctx, group, list(calls[first : first + AT_ONCE]), first, concurrency)


async def _make(
    ctx: Context, entry: JournalEntry, portion: list[ChildCall], first: int, concurrency: int | None
) -> None:
    try:
        made = await ctx.services.journal.spawn(ctx.claim, entry, portion, first=first, concurrency=concurrency)
    except RunCancelled:
        # Before its worker hears of it.
        ctx.cancelled = True
        raise
    if not made:
        raise ctx.history.lost(f"the call {entry.name!r}")


def _check_count(asked: Asked, calls: Sequence[ChildCall]) -> None:
    if asked.entry is None:
        return
    count = loads(asked.entry.result or "{}").get("count")
    if count != len(calls):
        raise JournalMismatch(
            f"{asked.name!r} called {count} runs when it was first come to, and now is to call {len(calls)}: make the list in "
            "a step, so that every attempt sees the same"
        )


def as_calls(calls: Iterable[Call]) -> list[ChildCall]:
    """What ``ctx.gather`` was given. Raises ``InvalidTask`` for anything else than ``ctx.call(…)``, not yet awaited."""
    found: list[ChildCall] = []
    for call in calls:
        if not isinstance(call, Call) or call.used:  # pyright: ignore[reportUnnecessaryIsInstance]
            raise InvalidTask(
                "ctx.gather(ctx.call(task, payload), …): give calls that were not awaited; steps go on asyncio.gather"
            )
        call.used = True
        found.append(call.child)
    return found


def _outcome(task: str, text: str | None) -> Any:
    values: dict[str, Any] = loads(text or "{}")
    run_id, state, error = values["run"], values["state"], values.get("error")
    if state == "completed":
        return values["result"]
    if state == "cancelled":
        return RunCancelled(f"run {run_id} of {task}, which was called, was cancelled")
    if state == "expired":
        return RunExpired(f"run {run_id} of {task}, which was called, was not started in time")
    return RunFailed(f"run {run_id} of {task}, which was called, failed: {error}", run_id=run_id, error=error)
