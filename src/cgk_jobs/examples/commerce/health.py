"""What probes found: services of the installation, and the queues of every tenant."""

from __future__ import annotations

import asyncio
from collections.abc import Collection
from sqlite3 import Connection
from typing import TYPE_CHECKING

from cgk_jobs import across_tenants
from cgk_jobs.examples.commerce.days import HOUR
from cgk_jobs.examples.commerce.organizations import enrolled
from cgk_jobs.tenancy import PLATFORM, current_tenant

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce
    from cgk_jobs.examples.commerce.vendors_probes import Probe

__all__ = ["CRITICAL", "EVERYTHING", "examine_tenants", "probe_all", "tier_due"]

CRITICAL = ("database", "cache", "shop")
STANDARD = (*CRITICAL, "mail", "payments")
EVERYTHING = (*STANDARD, "sms", "chat", "storage", "search", "video")

BACKLOG_MICROS = HOUR
"""A tenant is unwell once its oldest mail or delivery is overdue for so long."""

OLDEST = """
    SELECT min(due_at) FROM (
        SELECT min(due_at) AS due_at FROM mails WHERE state = 'pending'
        UNION ALL
        SELECT min(due_at) FROM deliveries WHERE state = 'pending')
"""


def tier_due(minute: int) -> tuple[str, ...]:
    """The services to probe in this minute of the hour: critical ones always, all others by five or fifteen minutes."""
    if minute % 15 == 0:
        return EVERYTHING
    return STANDARD if minute % 5 == 0 else CRITICAL


async def probe_all(app: Commerce, probe: Probe, services: Collection[str]) -> list[str]:
    """Ask the services at once and note the answers in the current database, which is the platform's own for its tasks.

    Gives the names of those that are unwell.
    """
    answers = await asyncio.gather(*(probe.ask(service) for service in services))
    found = dict(zip(services, answers, strict=True))
    with app.shops.current() as db:
        _note(db, current_tenant(), found, app.now())
    return [service for service, trouble in found.items() if trouble]


async def examine_tenants(app: Commerce) -> list[str]:
    """Look at every tenant's queues and note what is found in the platform's database; the tenants that are unwell."""
    now = app.now()
    grid: dict[str, str] = {}
    with across_tenants(reason="health grid of all tenants"):
        for tenant_id in enrolled(app.shops):
            with app.shops.of(tenant_id) as db:
                oldest = db.execute(OLDEST).fetchone()[0]
            waiting = 0 if oldest is None else now - oldest
            grid[tenant_id] = f"overdue for {waiting // 60_000_000} minutes" if waiting > BACKLOG_MICROS else ""
            await asyncio.sleep(0)  # other runs go on between two tenants
        with app.shops.of(PLATFORM) as db:
            for tenant_id, trouble in grid.items():
                _note(db, tenant_id, {"queues": trouble}, now)
    return [tenant_id for tenant_id, trouble in grid.items() if trouble]


def _note(db: Connection, subject: str, found: dict[str, str], now: int) -> None:
    db.executemany(
        "INSERT INTO health (subject, service, healthy, detail, checked_at) VALUES (?, ?, ?, ?, ?)"
        " ON CONFLICT DO UPDATE SET healthy = excluded.healthy, detail = excluded.detail, checked_at = excluded.checked_at",
        [(subject, service, int(not trouble), trouble, now) for service, trouble in found.items()],
    )
