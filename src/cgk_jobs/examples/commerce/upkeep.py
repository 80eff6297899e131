"""Rows that operations leave behind, purged from one tenant's database or from all of them."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping
from sqlite3 import Connection
from typing import TYPE_CHECKING, Literal

from cgk_jobs import across_tenants
from cgk_jobs.examples.commerce.days import DAY
from cgk_jobs.examples.commerce.organizations import enrolled

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["LOG_DAYS", "Target", "everywhere", "purge", "purge_logs", "purge_stale"]

Target = Literal["logs", "sessions", "cache", "temp"]

LOG_DAYS: Mapping[str, int] = {"debug": 3, "info": 14, "warning": 30, "error": 90}
"""Days a line is kept, by its level."""

STALE_DAYS: Mapping[str, int] = {"session": 30, "cache": 7, "temp": 1}
"""Days a row is kept, by its kind."""

KINDS: Mapping[Target, str] = {"sessions": "session", "cache": "cache", "temp": "temp"}


def purge_logs(db: Connection, now: int, days: int | None = None) -> int:
    """Delete log lines past the retention of their level, or of ``days`` days whatever their level."""
    return sum(
        db.execute(
            "DELETE FROM log_lines WHERE level = ? AND logged_at < ?",
            (level, now - (kept if days is None else days) * DAY),
        ).rowcount
        for level, kept in LOG_DAYS.items()
    )


def purge_stale(db: Connection, now: int) -> int:
    """Delete sessions, cached values and temporary rows past their time."""
    return sum(_purge_kind(db, kind, now - kept * DAY) for kind, kept in STALE_DAYS.items())


def purge(db: Connection, target: Target, now: int, days: int | None = None) -> int:
    """Delete rows of one kind, past their own time or that of ``days`` days."""
    if target == "logs":
        return purge_logs(db, now, days)
    kind = KINDS[target]
    return _purge_kind(db, kind, now - (STALE_DAYS[kind] if days is None else days) * DAY)


def _purge_kind(db: Connection, kind: str, before: int) -> int:
    return db.execute("DELETE FROM stale_rows WHERE kind = ? AND made_at < ?", (kind, before)).rowcount


async def everywhere(app: Commerce, reason: str, work: Callable[[Connection], int]) -> int:
    """Do ``work`` in every tenant's database, one transaction each; the sum of what it says.

    A crash leaves the tenants that were done as they are; doing the work again does the others.
    """
    total = 0
    with across_tenants(reason=reason):
        for tenant_id in enrolled(app.shops):
            with app.shops.of(tenant_id) as db:
                total += work(db)
            await asyncio.sleep(0)  # other runs go on between two tenants
    return total
