"""What the ledger keeps of one tenant: counted for its usage, and given out row by row."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any

from cgk_jobs.engine.exporting import ExportRow, kind_of
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.migrate import SCHEMA_VERSION
from cgk_jobs.engine.postgres.tenant_tables import TenantTable, statement, tenant_tables
from cgk_jobs.engine.usage import UsageRecord
from cgk_jobs.wire.ids import COUNTER_BITS
from cgk_jobs.wire.json import loads

__all__ = ["export_rows", "usage_of"]

_AT_ONCE = 500
"""Rows given out together."""
_LEFT_OUT = frozenset({"quota_counters"})
"""Tables with nothing of a tenant's own: what they count is in the rows."""


async def usage_of(database: Database, tenant_id: str, since: int, every: int) -> UsageRecord:
    """Count everything of a tenant; sends and finishes from ``since`` on, by periods of ``every`` microseconds."""
    record = UsageRecord()
    async with database.snapshot() as work:
        for row in await work.rows("usage_states", tenant_id):
            record.add_state(*row)
        record.log_bytes = await work.value("usage_logs", tenant_id)
        for start, sends in await work.rows("usage_sends", tenant_id, since, every, (since // 1000) << COUNTER_BITS):
            record.period(start).sends = sends
        for start, state, runs in await work.rows("usage_finishes", tenant_id, since, every):
            record.period(start).finished[state] = runs
    return record


async def export_rows(database: Database, tenant_id: str) -> AsyncGenerator[list[ExportRow], None]:
    """Every row of a tenant as of one moment, in portions."""
    async with database.snapshot() as work:
        yield [ExportRow("header", {"engine": "postgres", "schema": SCHEMA_VERSION})]
        settings = await work.rows("export_settings", tenant_id)
        if settings:
            yield [ExportRow("settings", loads(row["row"])) for row in settings]
        for table in await tenant_tables(work):
            if table.name not in _LEFT_OUT:
                async for portion in _of(work, table, tenant_id):
                    yield portion


async def _of(work: Work, table: TenantTable, tenant_id: str) -> AsyncGenerator[list[ExportRow], None]:
    kind = kind_of(table.name)
    places = ", ".join([f"${number}" for number in range(3, 3 + len(table.key))])
    further = f" AND ({', '.join(table.key)}) > ({places})"
    name, last = statement("export_rows", table, further=""), tuple[Any, ...]()
    while rows := await work.rows(name, tenant_id, _AT_ONCE, *last):
        yield [ExportRow(kind, loads(row["row"])) for row in rows]
        last = tuple(rows[-1])[1:]
        name = statement("export_rows", table, further=further)
