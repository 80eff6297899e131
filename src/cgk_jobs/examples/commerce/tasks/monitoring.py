"""Probes of the services that the installation is connected to."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.events.catalogue.system import SystemHealthCheck
from cgk_jobs.examples.commerce import health
from cgk_jobs.examples.commerce.policies import ONCE
from cgk_jobs.examples.commerce.vendors_probes import Probe, ProbeDouble

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("monitoring",)
SECONDS = 30


def tasks(app: Commerce, probe: Probe | None = None) -> TaskGroup:
    """The tasks of this category. ``probe``: a double to which all services are well, where none is given."""
    group = TaskGroup()
    asks = probe or ProbeDouble()

    @group.cron("*/5 * * * *", tenants="platform", id="ops-health-check-full", retry=ONCE, timeout=SECONDS, tags=TAGS)
    async def check_full(tick: Tick) -> list[str]:
        """Probe every connected service; the names of those that are unwell."""
        return await health.probe_all(app, asks, health.EVERYTHING)

    @group.cron("* * * * *", tenants="platform", id="ops-health-check-critical", retry=ONCE, timeout=SECONDS, tags=TAGS)
    async def check_critical(tick: Tick) -> list[str]:
        """Probe what nothing works without: database, cache and shop."""
        return await health.probe_all(app, asks, health.CRITICAL)

    # Both hear of every request, since the inventory lets one event start both; each answers its own kind.

    @group.task(on=SystemHealthCheck, id="ops-health-check-full-on-request", retry=ONCE, timeout=SECONDS, tags=TAGS)
    async def check_full_on_request(event: SystemHealthCheck) -> list[str] | None:
        """Probe every service for the tenant that asks; nothing if it asked for the critical ones."""
        return await health.probe_all(app, asks, health.EVERYTHING) if event.check_type == "full" else None

    @group.task(on=SystemHealthCheck, id="ops-health-check-critical-on-request", retry=ONCE, timeout=SECONDS, tags=TAGS)
    async def check_critical_on_request(event: SystemHealthCheck) -> list[str] | None:
        """Probe the critical services for the tenant that asks; nothing if it asked for all."""
        return await health.probe_all(app, asks, health.CRITICAL) if event.check_type == "critical" else None

    return group
