"""The installation's own database: which organizations there are. It is named like the reserved tenant ``platform``."""

from __future__ import annotations

from cgk_jobs import across_tenants
from cgk_jobs.examples.commerce.store import Shops
from cgk_jobs.tenancy import PLATFORM

__all__ = ["enrol", "enrolled"]


def enrol(shops: Shops, tenant_ids: list[str], now: int) -> int:
    """Enter organizations; says how many were new. Tasks that work over all tenants see those entered here."""
    with across_tenants(reason="organizations enrol"), shops.of(PLATFORM) as db:
        return sum(
            db.execute(
                "INSERT INTO organizations (tenant_id, enrolled_at) VALUES (?, ?) ON CONFLICT DO NOTHING",
                (tenant_id, now),
            ).rowcount
            for tenant_id in tenant_ids
        )


def enrolled(shops: Shops) -> list[str]:
    """Every organization, by id. Only the platform itself may ask; raises ``TenantMismatch`` to a tenant."""
    with shops.of(PLATFORM) as db:
        return [str(row[0]) for row in db.execute("SELECT tenant_id FROM organizations ORDER BY tenant_id")]
