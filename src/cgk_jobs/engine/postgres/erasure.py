"""Purging a tenant: its rows in every table and partition, and the settings that name it.

PostgreSQL keeps deleted rows in its files until they are vacuumed: docs/tenants.md says what to run.
"""

from __future__ import annotations

from collections.abc import Mapping

from cgk_jobs.engine.postgres.configuration import Configuration
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.postgres.limits import LimitBook, slots_of
from cgk_jobs.engine.postgres.tenant_tables import statement, tenant_tables

__all__ = ["forget_tenant", "purge"]

_SETTINGS = frozenset({"tenant_quotas", "quota_counters"})
"""Tables that keep sends out while the others are emptied."""


async def purge(database: Database, limits: LimitBook, tenant_id: str, count: int) -> Mapping[str, int]:
    """Delete up to ``count`` rows of a tenant in each table; how many of each there were."""

    async def runs(work: Work) -> int:
        rows = await work.rows("purge_runs", tenant_id, count)
        # Of a run that is still running, also the slots it shares with other tenants.
        await limits.free(work, slots_of(rows))
        return len(rows)

    # Runs first: an attempt without its run can write nothing any more.
    deleted = {"runs": await database.retried(runs)}
    for table in await tenant_tables(database):
        if table.name != "runs" and table.name not in _SETTINGS:
            same = " AND ".join([f"t.{column} = s.{column}" for column in table.key])
            deleted[table.name] = await database.run(statement("purge_rows", table, same=same), tenant_id, count)
    return {name: rows for name, rows in deleted.items() if rows}


async def forget_tenant(database: Database, configuration: Configuration, tenant_id: str) -> None:
    """Forget the tenant's settings. From then on no process has anything of it in memory."""

    async def verb(work: Work) -> None:
        await configuration.changed(work)
        await work.run("move_ticks_past", tenant_id)
        for name in ("remove_quotas", "remove_quota_counter", "remove_tenant"):
            await work.run(name, tenant_id)

    await database.retried(verb)
    await configuration.refresh(database)
