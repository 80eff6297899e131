"""Reading the ledger: on a connection of its own, in a thread, so that a long question holds nobody up."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import threading
from collections.abc import AsyncGenerator, Callable
from pathlib import Path
from typing import Any, TypeVar

from cgk_jobs.engine.exporting import ExportRow
from cgk_jobs.engine.quotas import Counter, TenantQuotas
from cgk_jobs.engine.reads import RunFilter
from cgk_jobs.engine.records import (
    AttemptRecord,
    LogLine,
    PausedRecord,
    RunKey,
    RunRecord,
    ScheduleRecord,
    StepRecord,
    Subscription,
    TallyRecord,
    TenantRecord,
    WorkerRecord,
)
from cgk_jobs.engine.sqlite.configuration import quotas_of
from cgk_jobs.engine.sqlite.database import QUERIES, open_database
from cgk_jobs.engine.sqlite.erasure import tables_with_rows
from cgk_jobs.engine.sqlite.forks import ForkGuard
from cgk_jobs.engine.sqlite.tenant_reads import export_rows, usage_of
from cgk_jobs.engine.sqlite.tenant_tables import TenantTable
from cgk_jobs.engine.states import State
from cgk_jobs.engine.usage import UsageRecord
from cgk_jobs.wire.ids import COUNTER_BITS

__all__ = ["SqliteReads"]

T = TypeVar("T")
_LAST = (1 << 63) - 1


class SqliteReads:
    """The read side of one file."""

    def __init__(self, path: Path) -> None:
        self._path = path
        self._lock = threading.Lock()
        self._connection: sqlite3.Connection | None = None
        self._pid = os.getpid()
        self._inherited: list[sqlite3.Connection] = []
        self._fork_guard = ForkGuard(self._lock, self._close_connection)

    def _open(self) -> sqlite3.Connection:
        if self._connection is None:
            # Opened like any other first: a ledger that isn't there yet is made, one that can't serve is refused.
            self._connection = open_database(self._path)
            self._connection.execute("PRAGMA query_only = ON")
        return self._connection

    async def _ask(self, question: Callable[[sqlite3.Connection], T]) -> T:
        if self._pid != os.getpid():
            # A connection carried over a fork may be neither used nor closed.
            if self._connection is not None:
                self._inherited.append(self._connection)
                self._connection = None
            self._lock = threading.Lock()
            self._fork_guard = ForkGuard(self._lock, self._close_connection)
            self._pid = os.getpid()

        def answer() -> T:
            with self._lock:
                return question(self._open())

        return await asyncio.to_thread(answer)

    async def _rows(self, name: str, values: Any = ()) -> list[Any]:
        return await self._ask(lambda db: db.execute(QUERIES[name], values).fetchall())

    async def run(self, tenant_id: str | None, seq: int, nonce: int) -> RunRecord | None:
        rows = await self._rows("find_run", {"seq": seq, "nonce": nonce, "tenant": tenant_id})
        return RunRecord(*rows[0]) if rows else None

    async def runs(self, which: RunFilter, *, before: int | None, count: int) -> list[RunRecord]:
        where, values = _conditions(which)
        query = QUERIES["list_runs"].format(where=where)
        values |= {"before": _LAST if before is None else before, "count": count}
        rows = await self._ask(lambda db: db.execute(query, values).fetchall())
        return [RunRecord(*row) for row in rows]

    async def count(self, which: RunFilter) -> dict[State, int]:
        where, values = _conditions(which)
        query = QUERIES["count_runs"].format(where=where)
        return dict(await self._ask(lambda db: db.execute(query, values).fetchall()))

    async def tally(self) -> list[TallyRecord]:
        return [TallyRecord(*row) for row in await self._rows("tally_runs")]

    async def steps(self, run: RunKey) -> list[StepRecord]:
        rows = await self._rows("list_steps", (run.seq, run.tenant_id))
        return [StepRecord(row[0], row[1], row[2], bool(row[3]), bool(row[4])) for row in rows]

    async def attempts(self, run: RunKey) -> list[AttemptRecord]:
        return [AttemptRecord(*row) for row in await self._rows("list_attempts", (run.seq, run.tenant_id))]

    async def log(self, run: RunKey) -> list[tuple[int, LogLine]]:
        rows = await self._rows("list_logs", (run.seq, run.tenant_id))
        return [(attempt, LogLine(at, level, message)) for at, attempt, level, message in rows]

    async def tenants(self) -> list[TenantRecord]:
        rows = [TenantRecord(*row) for row in await self._rows("list_tenants")]
        return [row._replace(added=bool(row.added), paused=bool(row.paused)) for row in rows]

    async def subscriptions(self) -> list[Subscription]:
        return [Subscription(*row) for row in await self._rows("list_subscriptions")]

    async def schedules(self) -> list[ScheduleRecord]:
        return [ScheduleRecord(*row) for row in await self._rows("list_schedules")]

    async def paused(self) -> list[PausedRecord]:
        return [PausedRecord(*row) for row in await self._rows("list_paused")]

    async def workers(self) -> list[WorkerRecord]:
        return [WorkerRecord(*row) for row in await self._rows("list_workers")]

    async def quotas(self, tenant_id: str) -> tuple[TenantQuotas, Counter]:
        quotas = await self._rows("find_quotas", (tenant_id,))
        counter = await self._rows("read_quota_counter", (tenant_id,))
        return (
            quotas_of(quotas[0]) if quotas else TenantQuotas(tenant_id),
            Counter(*counter[0]) if counter else Counter(tenant_id),
        )

    async def usage(self, tenant_id: str, *, since: int, every: int) -> UsageRecord:
        return await self._ask(lambda db: usage_of(db, tenant_id, since, every))

    async def tables_with_rows(self, tenant_id: str) -> list[TenantTable]:
        """Where rows of a tenant are left."""
        return await self._ask(lambda db: tables_with_rows(db, tenant_id))

    def export(self, tenant_id: str) -> AsyncGenerator[list[ExportRow], None]:
        return export_rows(self._path, tenant_id)

    def close(self) -> None:
        """Close the connection; the next question opens it again."""
        with self._lock:
            if self._pid == os.getpid():
                self._close_connection()

    def _close_connection(self) -> None:
        if self._connection is not None:
            self._connection.close()
            self._connection = None


def _conditions(which: RunFilter) -> tuple[str, dict[str, Any]]:
    """The ``WHERE`` of a filter. Only fixed texts go into the statement; what users give is bound."""
    texts = {
        "tenant_id": "tenant_id = :tenant_id",
        "task": "task = :task",
        "event": "event_name = :event",
        "state": "state = :state",
        "queue": "queue = :queue",
        "parent_seq": "parent_seq = :parent_seq",
        # Tags of a send have an index; those every run of a task has are asked of the task.
        "tag": "(seq IN (SELECT run_seq FROM run_tags WHERE tag = :tag AND (:tenant_id IS NULL OR tenant_id = :tenant_id))"
        " OR task IN (SELECT task FROM subscriptions WHERE ',' || tags || ',' LIKE '%,' || :tag || ',%'))",
    }
    values: dict[str, Any] = {"tenant_id": which.tenant_id}
    conditions = ["1"]
    for name, text in texts.items():
        value = getattr(which, name)
        if value is not None:
            conditions.append(text)
            values[name] = value
    if which.since is not None:
        conditions.append("seq >= :first")
        values["first"] = (which.since // 1000) << COUNTER_BITS
    if which.unfinished:
        conditions.append("finished_at IS NULL")
    return " AND ".join(conditions), values
