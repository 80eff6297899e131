"""What the ledger keeps of one tenant: counted for its usage, and given out row by row."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import AsyncGenerator, Iterator
from contextlib import closing
from itertools import islice
from pathlib import Path

from cgk_jobs.engine.exporting import ExportRow, kind_of
from cgk_jobs.engine.sqlite.database import QUERIES, open_database
from cgk_jobs.engine.sqlite.tenant_tables import tenant_tables
from cgk_jobs.engine.usage import UsageRecord
from cgk_jobs.wire.ids import COUNTER_BITS

__all__ = ["export_rows", "usage_of"]

_AT_ONCE = 500
"""Rows given out together."""
_LEFT_OUT = frozenset({"quota_counters"})
"""Tables with nothing of a tenant's own: what they count is in the rows."""


def usage_of(db: sqlite3.Connection, tenant_id: str, since: int, every: int) -> UsageRecord:
    """Count everything of a tenant; sends and finishes from ``since`` on, by periods of ``every`` microseconds."""
    record = UsageRecord()
    window = {"tenant": tenant_id, "since": since, "every": every, "first": (since // 1000) << COUNTER_BITS}
    # One snapshot for all of it.
    db.execute("BEGIN")
    try:
        for row in db.execute(QUERIES["usage_states"], (tenant_id,)):
            record.add_state(*row)
        (record.log_bytes,) = db.execute(QUERIES["usage_logs"], (tenant_id,)).fetchone()
        for start, sends in db.execute(QUERIES["usage_sends"], window):
            record.period(start).sends = sends
        for start, state, runs in db.execute(QUERIES["usage_finishes"], window):
            record.period(start).finished[state] = runs
    finally:
        db.execute("COMMIT")
    return record


async def export_rows(path: Path, tenant_id: str) -> AsyncGenerator[list[ExportRow], None]:
    """Every row of a tenant as of one moment, in portions. On a connection of its own, in threads."""
    db = await asyncio.to_thread(open_database, path)
    with closing(db):
        db.execute("PRAGMA query_only = ON")
        db.execute("BEGIN")
        (version,) = db.execute("PRAGMA user_version").fetchone()
        yield [ExportRow("header", {"engine": "sqlite", "schema": version})]
        rows = _rows(db, tenant_id)
        while portion := await asyncio.to_thread(_portion, rows):
            yield portion


def _portion(rows: Iterator[ExportRow]) -> list[ExportRow]:
    return list(islice(rows, _AT_ONCE))


def _rows(db: sqlite3.Connection, tenant_id: str) -> Iterator[ExportRow]:
    yield from _of(db, "tenants", QUERIES["export_settings"], tenant_id)
    for table in tenant_tables(db):
        if table.name not in _LEFT_OUT:
            name = "export_of_runs" if table.belongs_to_runs else "export_rows"
            yield from _of(db, table.name, QUERIES[name].format(table=table.name), tenant_id)


def _of(db: sqlite3.Connection, table: str, statement: str, tenant_id: str) -> Iterator[ExportRow]:
    cursor = db.execute(statement, (tenant_id,))
    columns = [column[0] for column in cursor.description]
    kind = kind_of(table)
    for row in cursor:
        yield ExportRow(kind, dict(zip(columns, row, strict=True)))
