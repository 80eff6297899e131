"""``jobs.runs``: reading runs and acting on them, for one tenant or, declared, across tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any

from cgk_jobs.clock import from_micros, monotonic, to_micros
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import NewEvent, RunRecord, Stored
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import (
    InvalidEvent,
    RunNotFound,
    TenantMismatch,
    WaitTimeout,
)
from cgk_jobs.events.sent import Duration, Sent, seconds
from cgk_jobs.run_views import AttemptView, LogView, Page, Run, StepView, json_value, outcome_of, to_run
from cgk_jobs.runtime.entries import group_of
from cgk_jobs.tenancy.context import current_scope, require_scope
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id
from cgk_jobs.wire.ids import parse_id, to_id

__all__ = ["AttemptView", "LogView", "Page", "Run", "Runs", "StepView", "scope_of"]

_PAGE = 500
LOOK_EVERY = 0.05
"""Seconds between looks at a run that another process may end."""


def scope_of(tenant_id: str | None) -> str | None:
    """The tenant whose rows are meant, or ``None`` for all.

    Raises ``TenantRequired`` outside any scope if none is named, ``TenantMismatch`` for another than the current tenant.
    """
    if tenant_id is not None and tenant_id != PLATFORM:
        parse_tenant_id(tenant_id)
    scope = current_scope()
    if scope is None:
        if tenant_id is None:
            require_scope()
        return tenant_id
    if scope.tenant_id is None:
        return tenant_id
    if tenant_id is not None and tenant_id != scope.tenant_id:
        raise TenantMismatch(f"tenant {scope.tenant_id!r} is current and can't read {tenant_id!r}")
    return scope.tenant_id


class Runs:
    """The runs an application may see. Every method needs a tenant: the current one, one named, or all, declared."""

    def __init__(self, store: Store, cancel_here: Callable[[Sequence[int]], None]) -> None:
        self._store = store
        self._cancel_here = cancel_here
        self._waiting: dict[int, list[tuple[asyncio.AbstractEventLoop, asyncio.Event]]] = {}
        store.listen(self)

    # -- hints from the store ----------------------------------------------------------------------------------------

    def ready(self) -> bool:
        """Nothing to do for a reader."""
        return False

    def finished(self, seqs: Sequence[int]) -> None:
        """Wake whoever waits for these runs."""
        if not self._waiting:
            return
        for seq in seqs:
            for loop, event in self._waiting.get(seq, ()):
                if not loop.is_closed():
                    loop.call_soon_threadsafe(event.set)

    # -- reading -----------------------------------------------------------------------------------------------------

    async def _find(self, run_id: str, scope: str | None = "") -> RunRecord:
        scope = scope_of(None) if scope == "" else scope
        numbers = parse_id(run_id)
        record = None if numbers is None else await self._store.reads.run(scope, *numbers)
        if record is None:
            raise RunNotFound(f"there is no run {run_id!r} for this tenant; list what there is with jobs.runs.list()")
        return record

    async def get(self, run_id: str) -> Run:
        """A run with its steps, attempts and log. Raises ``RunNotFound``, also for a run of another tenant."""
        record = await self._find(run_id)
        reads = self._store.reads
        # The runs of a group it called are runs of their own: list(parent_id=…).
        steps = [
            StepView(row.name, json_value(row.result), from_micros(row.finished_at), row.failed, row.pending)
            for row in await reads.steps(record.key)
            if group_of(row.name) is None
        ]
        attempts = [
            AttemptView(row.attempt, row.outcome, row.error, from_micros(row.ended_at))
            for row in await reads.attempts(record.key)
        ]
        log = [
            LogView(from_micros(line.at), attempt, line.level, line.message)
            for attempt, line in await reads.log(record.key)
        ]
        return replace(to_run(record), steps=tuple(steps), attempts=tuple(attempts), log=tuple(log))

    async def list(
        self,
        *,
        tenant_id: str | None = None,
        task: str | None = None,
        event: str | None = None,
        state: State | None = None,
        tag: str | None = None,
        queue: str | None = None,
        since: datetime | None = None,
        parent_id: str | None = None,
        cursor: str | None = None,
        limit: int = 50,
    ) -> Page:
        """Runs, newest first.

        ``since``: created at or after an aware datetime. ``parent_id``: only those this run called. ``limit``: 1 to 1,000.
        """
        if not 1 <= limit <= 1_000:
            raise InvalidEvent(f"limit={limit}: 1 to 1,000")
        before = None
        if cursor is not None:
            numbers = parse_id(cursor)
            if numbers is None:
                raise InvalidEvent(f"cursor={cursor!r} is none: use next_cursor of the page before")
            before = numbers[0]
        which = self._filter(tenant_id, task, event, state, tag, queue, since)
        if parent_id is not None:
            which = replace(which, parent_seq=(await self._find(parent_id, which.tenant_id)).seq)
        rows = await self._store.reads.runs(which, before=before, count=limit + 1)
        more = len(rows) > limit
        rows = rows[:limit]
        return Page(tuple(map(to_run, rows)), to_id(rows[-1].seq, rows[-1].nonce) if more else None)

    async def count(
        self,
        *,
        tenant_id: str | None = None,
        task: str | None = None,
        event: str | None = None,
        state: State | None = None,
        tag: str | None = None,
        queue: str | None = None,
        since: datetime | None = None,
    ) -> dict[State, int]:
        """How many runs are in each state."""
        return await self._store.reads.count(self._filter(tenant_id, task, event, state, tag, queue, since))

    @staticmethod
    def _filter(
        tenant_id: str | None,
        task: str | None,
        event: str | None,
        state: State | None,
        tag: str | None,
        queue: str | None,
        since: datetime | None,
    ) -> RunFilter:
        first = None if since is None else to_micros(since)
        return RunFilter(scope_of(tenant_id), task, event, state, tag, queue, first)

    # -- waiting -----------------------------------------------------------------------------------------------------

    async def wait(self, run_id: str, timeout: Duration | None = None) -> Any:
        """The result, once the run has ended.

        Raises ``RunFailed``, ``RunCancelled`` or ``RunExpired`` if it ended so, and ``WaitTimeout`` (seconds) if it goes on.
        """
        return await self._wait(scope_of(None), run_id, timeout)

    async def wait_for_sent(self, sent: Sent, timeout: Duration | None) -> Any:
        """As ``wait``, for the only run of a send: who sent it may wait for it, whatever tenant is current."""
        return await self._wait(None, sent.run_id, timeout)

    async def _wait(self, scope: str | None, run_id: str, timeout: Duration | None) -> Any:
        record = await self._find(run_id, scope)
        give_up_at = None if timeout is None else monotonic() + seconds(timeout)
        event = asyncio.Event()
        entry = (asyncio.get_running_loop(), event)
        self._waiting.setdefault(record.seq, []).append(entry)
        try:
            while True:
                record = await self._find(run_id, scope)
                if record.state in FINAL:
                    return outcome_of(record)
                left = LOOK_EVERY if give_up_at is None else min(LOOK_EVERY, give_up_at - monotonic())
                if left <= 0:
                    raise WaitTimeout(f"run {run_id} is still {record.state}; it goes on. Wait longer, or look later")
                try:
                    async with asyncio.timeout(left):
                        await event.wait()
                except TimeoutError:
                    continue
        finally:
            entries = self._waiting[record.seq]
            entries.remove(entry)
            if not entries:
                del self._waiting[record.seq]

    async def watch(self, run_id: str) -> AsyncIterator[Run]:
        """The run as it is now, and again each time it has changed, until it has ended."""
        last: Run | None = None
        while True:
            run = await self.get(run_id)
            if run != last:
                last = run
                yield run
            if run.finished:
                return
            await asyncio.sleep(LOOK_EVERY)

    # -- acting ------------------------------------------------------------------------------------------------------

    async def cancel(self, run_id: str | None = None, *, tag: str | None = None, tenant_id: str | None = None) -> int:
        """Cancel one run, or all of a tag (a mail sequence) that have not ended; returns how many.

        What waits is cancelled at once. A running async handler is ended where it waits, within a second; a plain function
        at its next ``check_cancelled``; one in a process by killing the process.
        """
        if (run_id is None) == (tag is None):
            raise InvalidEvent("cancel(run_id) or cancel(tag=…)")
        if run_id is not None:
            runs = [(await self._find(run_id)).key]
        else:
            runs = [run.key async for run in self._unfinished(scope_of(tenant_id), tag)]
        count = await self._store.cancel(runs)
        self._cancel_here([run.seq for run in runs])
        return count

    async def _unfinished(self, scope: str | None, tag: str | None) -> AsyncIterator[RunRecord]:
        before: int | None = None
        while True:
            rows = await self._store.reads.runs(RunFilter(scope, tag=tag), before=before, count=500)
            for row in rows:
                if row.state not in FINAL:
                    yield row
            if len(rows) < 500:
                return
            before = rows[-1].seq

    async def retry(self, run_id: str) -> None:
        """Start a run that failed, was cancelled or expired again, with all its attempts. Finished steps stay finished."""
        record = await self._find(run_id)
        if not await self._store.retry(record.key, record.queue, record.lane):
            raise InvalidEvent(
                f"run {run_id} is {record.state}: only failed, cancelled and expired runs are retried; replay makes a new run"
            )

    async def replay(self, run_id: str, *, from_step: str | None = None) -> Run:
        """A new run of the same payload. ``from_step``: the steps before this one answer from the old run's journal."""
        record = await self._find(run_id)
        if from_step is not None and record.failing is not None:
            raise InvalidEvent(f"run {run_id} was undone, so its steps don't answer any more: replay it from the start")
        if from_step is not None and from_step not in {
            row.name for row in await self._store.reads.steps(record.key) if not row.pending
        }:
            raise InvalidEvent(f"run {run_id} has no finished step {from_step!r}")
        stored = await self._store.replay(_again(record), record.seq, from_step)
        return to_run(await self._find(to_id(stored.run_seqs[0], stored.nonce)))

    async def replay_all(
        self,
        *,
        tenant_id: str | None = None,
        task: str | None = None,
        event: str | None = None,
        state: State | None = None,
        tag: str | None = None,
        queue: str | None = None,
        since: datetime | None = None,
        limit: int = 10_000,
    ) -> tuple[str, ...]:
        """Replay every run of a filter from its start, the oldest first; the ids of the new runs, at most ``limit``.

        Only runs there are when it begins. Each new run has ``replay_of`` set. Asks for at least one of ``task``, ``event``,
        ``state``, ``tag`` and ``queue``.
        """
        if not (task or event or state or tag or queue):
            raise InvalidEvent(
                "replay_all: name a task, event, state, tag or queue; all runs of all tasks is never meant"
            )
        if limit < 1:
            raise InvalidEvent(f"limit={limit}: at least 1")
        which = self._filter(tenant_id, task, event, state, tag, queue, since)
        found: list[RunRecord] = []
        while len(found) < limit:
            before = found[-1].seq if found else None
            rows = await self._store.reads.runs(which, before=before, count=min(_PAGE, limit - len(found)))
            found += rows
            if len(rows) < _PAGE:
                break
        answers: list[Stored] = []
        for first in range(0, len(found), _PAGE):
            portion = found[::-1][first : first + _PAGE]
            answers += await asyncio.gather(*[self._store.replay(_again(row), row.seq, None) for row in portion])
        return tuple(to_id(stored.run_seqs[0], stored.nonce) for stored in answers)


def _again(record: RunRecord) -> NewEvent:
    """The same payload for the same task. Old and new run share the random part of their ids, so each leads to the other."""
    return NewEvent(
        record.tenant_id, record.event_name, record.event_version, record.payload, record.task,
        priority=record.lane, replay_of=record.seq, nonce=record.nonce,
    )  # fmt: skip
