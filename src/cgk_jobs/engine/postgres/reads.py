"""Reading the ledger. Runs that have not ended and those that have are two tables, and one question for who asks."""

from __future__ import annotations

from collections.abc import AsyncGenerator, Sequence
from typing import Any

from cgk_jobs.engine.exporting import ExportRow
from cgk_jobs.engine.postgres.database import QUERIES, Database
from cgk_jobs.engine.postgres.tenant_reads import export_rows, usage_of
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
from cgk_jobs.engine.states import FINAL, State
from cgk_jobs.engine.usage import UsageRecord
from cgk_jobs.wire.ids import COUNTER_BITS

__all__ = ["PostgresReads"]

_LAST = (1 << 63) - 1
_SENT_WITH_TAG = (
    "EXISTS (SELECT FROM cgk_jobs.run_tags t WHERE t.tenant_id = r.tenant_id AND t.tag = {tag} AND t.run_seq = r.seq)"
)


class PostgresReads:
    """The read side of one ledger."""

    def __init__(self, database: Database) -> None:
        self._database = database

    async def run(self, tenant_id: str | None, seq: int, nonce: int) -> RunRecord | None:
        if tenant_id is None:
            tenant_id = await self._database.value("find_tenant_of_run", seq, nonce)
            if tenant_id is None:
                return None
        row = await self._database.row("find_run", tenant_id, seq, nonce)
        return None if row is None else RunRecord(*row)

    async def runs(self, which: RunFilter, *, before: int | None, count: int) -> list[RunRecord]:
        name = "list_all_runs" if which.tenant_id is None else "list_tenant_runs"
        statement, values = await self._filled(name, which, [_LAST if before is None else before, count])
        return [RunRecord(*row) for row in await self._database.rows(statement, *values)]

    async def count(self, which: RunFilter) -> dict[State, int]:
        statement, values = await self._filled("count_runs", which, [])
        return {row[0]: row[1] for row in await self._database.rows(statement, *values)}

    async def tally(self) -> list[TallyRecord]:
        return [TallyRecord(*row) for row in await self._database.rows("tally_runs")]

    async def steps(self, run: RunKey) -> list[StepRecord]:
        return [StepRecord(*row) for row in await self._database.rows("list_steps", *run)]

    async def attempts(self, run: RunKey) -> list[AttemptRecord]:
        return [AttemptRecord(*row) for row in await self._database.rows("list_attempts", *run)]

    async def log(self, run: RunKey) -> list[tuple[int, LogLine]]:
        rows = await self._database.rows("list_logs", *run)
        return [(attempt, LogLine(at, level, message)) for at, attempt, level, message in rows]

    async def tenants(self) -> list[TenantRecord]:
        return [TenantRecord(*row) for row in await self._database.rows("list_tenants")]

    async def subscriptions(self) -> list[Subscription]:
        return [Subscription(*row) for row in await self._database.rows("list_subscriptions")]

    async def schedules(self) -> list[ScheduleRecord]:
        return [ScheduleRecord(*row) for row in await self._database.rows("list_schedules")]

    async def paused(self) -> list[PausedRecord]:
        return [PausedRecord(*row) for row in await self._database.rows("list_paused")]

    async def workers(self) -> list[WorkerRecord]:
        return [WorkerRecord(*row) for row in await self._database.rows("list_workers")]

    async def quotas(self, tenant_id: str) -> tuple[TenantQuotas, Counter]:
        quotas = await self._database.row("find_quotas", tenant_id)
        counter = await self._database.row("read_quota_counter", tenant_id)
        return (
            TenantQuotas(tenant_id) if quotas is None else TenantQuotas(*quotas),
            Counter(tenant_id) if counter is None else Counter(*counter),
        )

    async def usage(self, tenant_id: str, *, since: int, every: int) -> UsageRecord:
        return await usage_of(self._database, tenant_id, since, every)

    def export(self, tenant_id: str) -> AsyncGenerator[list[ExportRow], None]:
        return export_rows(self._database, tenant_id)

    async def _filled(self, name: str, which: RunFilter, values: list[Any]) -> tuple[str, list[Any]]:
        """The statement ``name`` with the conditions of a filter, by the name it has from now on, and its values."""
        tagged: Sequence[str] = ()
        if which.tag is not None:
            tagged = [row[0] for row in await self._database.rows("tagged_tasks", which.tag)]
        conditions = _Conditions(values)
        for column in ("tenant_id", "task", "state", "queue"):
            conditions.equal(column, getattr(which, column))
        conditions.equal("event_name", which.event)
        conditions.equal("parent_seq", which.parent_seq)
        conditions.tagged(which.tag, tagged)
        # A value is bound only where the text has a place for it: the server counts.
        ended = not which.unfinished and (which.state is None or which.state in FINAL)
        conditions.created(which.since, ended=ended)
        where = " AND ".join(conditions.both)
        finished = " AND ".join(conditions.finished) if ended else "false"
        key = f"{name}: {where}; {finished}"
        if key not in QUERIES:
            # One of some dozens: which fields are filtered decides the text, what they must be is bound.
            QUERIES[key] = QUERIES[name].format(where=where, finished=finished)
        return key, values


class _Conditions:
    """Fixed texts with numbered places, and the values that are bound there."""

    def __init__(self, values: list[Any]) -> None:
        self._values = values
        self.both = ["true"]
        self.finished = ["true"]

    def _bind(self, value: Any) -> str:
        self._values.append(value)
        return f"${len(self._values)}"

    def equal(self, column: str, value: str | int | None) -> None:
        """``column`` is one of this module's."""
        if value is not None:
            self.both.append(f"r.{column} = {self._bind(value)}")

    def tagged(self, tag: str | None, tasks: Sequence[str]) -> None:
        """Runs sent with this tag, by the index of tags; and those of tasks that give it to every run."""
        if tag is None:
            return
        sent = _SENT_WITH_TAG.format(tag=self._bind(tag))
        if tasks:
            self.both.append(f"({sent} OR r.task = ANY ({self._bind(list(tasks))}::text[]))")
        else:
            self.both.append(sent)

    def created(self, since: int | None, *, ended: bool) -> None:
        """Runs made at this moment (microseconds) or later. None ``ended`` before it: older days need no look."""
        if since is None:
            return
        self.both.append(f"r.seq >= {self._bind((since // 1000) << COUNTER_BITS)}")
        if ended:
            self.finished.append(f"r.finished_at >= {self._bind(since)}")
