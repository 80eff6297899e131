"""Which runs are meant, and following them as they change."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable, Callable, Iterable, Mapping
from datetime import datetime
from typing import Generic, Protocol, TypedDict, TypeVar

from cgk_jobs.clock import to_micros
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import RunKey
from cgk_jobs.engine.states import State
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import TenantMismatch
from cgk_jobs.tenancy.context import current_scope, require_scope
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id

__all__ = ["Changes", "Which", "filter_of", "scope_of", "unfinished_keys", "until_finished"]

AT_ONCE = 500
"""Runs read, and cancelled, in one go."""
LOOK_EVERY = 0.2
"""Seconds between looks at a list that other processes may change."""


class Which(TypedDict, total=False):
    """The filters of ``jobs.runs.list``, all optional."""

    tenant_id: str | None
    task: str | None
    event: str | None
    state: State | None
    tag: str | None
    queue: str | None
    since: datetime | None


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


def filter_of(
    tenant_id: str | None = None,
    task: str | None = None,
    event: str | None = None,
    state: State | None = None,
    tag: str | None = None,
    queue: str | None = None,
    since: datetime | None = None,
) -> RunFilter:
    """The filter as the ledger reads it. Raises as :func:`scope_of`, and ``ValueError`` for a naive datetime."""
    first = None if since is None else to_micros(since)
    return RunFilter(scope_of(tenant_id), task, event, state, tag, queue, first)


async def unfinished_keys(store: Store, which: RunFilter) -> AsyncIterator[list[RunKey]]:
    """The runs of a filter that have not ended, newest first, in portions. Runs made meanwhile are not among them."""
    before: int | None = None
    while True:
        rows = await store.reads.runs(which, before=before, count=AT_ONCE)
        if rows:
            yield [row.key for row in rows]
        if len(rows) < AT_ONCE:
            return
        before = rows[-1].seq


class _Changing(Protocol):
    @property
    def id(self) -> str: ...

    @property
    def finished(self) -> bool: ...


R = TypeVar("R", bound=_Changing)


async def until_finished(read: Callable[[], Awaitable[R]], pause: float) -> AsyncIterator[R]:
    """A run as it is now, and again each time it has changed, until it has ended. ``pause``: seconds between looks."""
    last: R | None = None
    while True:
        run = await read()
        if run != last:
            last = run
            yield run
        if run.finished:
            return
        await asyncio.sleep(pause)


class Changes(Generic[R]):
    """What is new or has changed between looks at a list of runs."""

    def __init__(self, look: Callable[[], Awaitable[Iterable[R]]], find: Callable[[str], Awaitable[R | None]]) -> None:
        self._look = look
        self._find = find
        self._last: Mapping[str, R] = {}

    async def next(self) -> list[R]:
        """Look once. A run that the filter no longer finds is told a last time, as it is now."""
        last, now = self._last, {run.id: run for run in await self._look()}
        changed: list[R] = []
        for run_id, run in last.items():
            if run_id not in now and not run.finished:
                left = await self._find(run_id)
                if left is not None and left != run:
                    changed.append(left)
        changed += [run for run in reversed(now.values()) if last.get(run.id) != run]
        self._last = now
        return changed

    async def follow(self) -> AsyncIterator[R]:
        """Every change, for ever."""
        while True:
            for run in await self.next():
                yield run
            await asyncio.sleep(LOOK_EVERY)
