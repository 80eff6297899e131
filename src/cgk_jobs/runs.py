"""``jobs.runs``: reading runs and acting on them, for one tenant or, declared, across tenants."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Callable, Sequence
from dataclasses import replace
from datetime import datetime
from typing import Any, Unpack

from cgk_jobs.clock import from_micros, monotonic
from cgk_jobs.engine.records import NewEvent, RunKey, RunRecord, Stored
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import (
    InvalidEvent,
    RunNotFound,
    WaitTimeout,
)
from cgk_jobs.events.sent import Duration, Sent, seconds
from cgk_jobs.run_views import AttemptView, LogView, Page, Run, StepView, json_value, outcome_of, to_run
from cgk_jobs.runtime.entries import group_of
from cgk_jobs.selection import Changes, Which, filter_of, scope_of, unfinished_keys, until_finished
from cgk_jobs.wire.ids import parse_id, to_id

__all__ = ["AttemptView", "LogView", "Page", "Run", "Runs", "StepView", "scope_of"]

_PAGE = 500
LOOK_EVERY = 0.05
"""Seconds between looks at a run that another process may end."""


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

    async def glance(self, run_id: str) -> Run:
        """A run without steps, attempts and log: one read. Raises ``RunNotFound``."""
        return to_run(await self._find(run_id))

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
        which = filter_of(tenant_id, task, event, state, tag, queue, since)
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
        return await self._store.reads.count(filter_of(tenant_id, task, event, state, tag, queue, since))

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

    async def watch(self, run_id: str | None = None, *, limit: int = 50, **which: Unpack[Which]) -> AsyncIterator[Run]:
        """A run as it is now, and again each time it has changed, until it has ended: state, progress, metadata, log.

        Without ``run_id``, of the newest ``limit`` runs of a filter (as in ``list``) each that is new or has changed, for
        as long as one asks; a run that leaves the filter is told once more. These have no steps, attempts and log.
        """
        if run_id is None:
            changes = Changes(lambda: self.list(limit=limit, **which), self._as_it_is)
            async for run in changes.follow():
                yield run
        elif which:
            raise InvalidEvent("watch(run_id) follows one run: leave the filters out")
        else:
            async for run in until_finished(lambda: self.get(run_id), LOOK_EVERY):
                yield run

    async def _as_it_is(self, run_id: str) -> Run | None:
        try:
            return to_run(await self._find(run_id))
        except RunNotFound:
            return None

    # -- acting ------------------------------------------------------------------------------------------------------

    async def cancel(self, run_id: str | None = None, *, tree: bool = True, **which: Unpack[Which]) -> int:
        """Cancel one run, or all of a filter (as in ``list``: the tag of a mail sequence, a task) that have not ended.

        What waits is cancelled at once and never starts. A running async handler is ended where it waits, within a second;
        a plain function at its next ``check_cancelled`` or ``ctx.sync`` call; one in a process by killing the process. A
        handler that ends by itself before that is completed; nothing that was cancelled is. ``tree``: the runs they called
        too. Returns how many runs were cancelled or asked to stop.
        """
        chosen = [name for name, value in which.items() if value is not None and name != "tenant_id"]
        if (run_id is None) != bool(chosen):
            raise InvalidEvent("cancel(run_id), or say which: cancel(tag=…), task=, event=, state=, queue=, since=")
        if run_id is not None:
            return await self._cancel([(await self._find(run_id)).key], tree)
        found = replace(filter_of(**which), unfinished=True)
        return sum([await self._cancel(runs, tree) async for runs in unfinished_keys(self._store, found)])

    async def _cancel(self, runs: Sequence[RunKey], tree: bool) -> int:
        count = await self._store.cancel(runs, tree=tree)
        self._cancel_here([run.seq for run in runs])
        return count

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
        which = filter_of(tenant_id, task, event, state, tag, queue, since)
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
