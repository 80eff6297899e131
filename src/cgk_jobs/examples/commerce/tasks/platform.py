"""The installation itself: its health, its logs, and what departed shops leave behind."""

from __future__ import annotations

from typing import TYPE_CHECKING

from cgk_jobs import TaskGroup, Tick
from cgk_jobs.clock import to_micros
from cgk_jobs.events.catalogue.system import ShopAppUninstalled, SystemCleanup
from cgk_jobs.examples.commerce import health, upkeep
from cgk_jobs.examples.commerce.policies import DEFAULT, ONCE
from cgk_jobs.examples.commerce.vendors_probes import Probe, ProbeDouble

if TYPE_CHECKING:
    from cgk_jobs.examples.commerce.application import Commerce

__all__ = ["tasks"]

TAGS = ("platform",)


def tasks(app: Commerce, probe: Probe | None = None) -> TaskGroup:
    """The tasks of this category. ``probe``: a double to which all services are well, where none is given."""
    group = TaskGroup()
    _health(group, app, probe or ProbeDouble())
    _upkeep(group, app)
    return group


def _health(group: TaskGroup, app: Commerce, probe: Probe) -> None:
    @group.cron("*/5 * * * *", tenants="platform", id="platform-health-check-matrix", retry=ONCE, timeout=60, tags=TAGS)
    async def health_matrix(tick: Tick) -> list[str]:
        """Look at the queues of every tenant; the tenants whose mails or webhooks are an hour late."""
        return await health.examine_tenants(app)

    @group.cron("* * * * *", tenants="platform", id="platform-health-checks", retry=DEFAULT, tags=TAGS)
    async def health_checks(tick: Tick) -> list[str]:
        """Probe the services whose turn it is this minute; the names of those that are unwell."""
        return await health.probe_all(app, probe, health.tier_due(tick.scheduled_at.minute))


def _upkeep(group: TaskGroup, app: Commerce) -> None:
    @group.cron("0 3 * * *", tenants="platform", id="cleanup-platform-logs", retry=DEFAULT, tags=TAGS)
    async def cleanup_logs(tick: Tick) -> int:
        """Purge every tenant's log lines past the retention of their level."""
        now = app.now()
        return await upkeep.everywhere(app, "purge of old log lines", lambda db: upkeep.purge_logs(db, now))

    @group.cron("0 3 * * *", tenants="platform", id="ops-cleanup", retry=DEFAULT, tags=TAGS)
    async def ops_cleanup(tick: Tick) -> int:
        """Purge every tenant's old sessions, cached values and temporary rows."""
        now = app.now()
        return await upkeep.everywhere(app, "purge of stale rows", lambda db: upkeep.purge_stale(db, now))

    @group.task(on=SystemCleanup, id="ops-cleanup-on-request", retry=DEFAULT, tags=TAGS)
    async def ops_cleanup_on_request(event: SystemCleanup) -> int:
        """Purge old rows of one kind from the database of the tenant that asks."""
        with app.shops.current() as db:
            return upkeep.purge(db, event.target, app.now(), event.older_than_days)

    @group.task(on=ShopAppUninstalled, id="connection-cleanup", retry=DEFAULT, tags=TAGS)
    async def connection_cleanup(event: ShopAppUninstalled) -> int:
        """Forget the shop's credentials, but not those of a shop that was connected again since."""
        left_at = app.now() if event.uninstalled_at is None else to_micros(event.uninstalled_at)
        with app.shops.current() as db:
            return db.execute(
                "DELETE FROM connections WHERE account = ? AND connected_at <= ?", (event.shop_domain, left_at)
            ).rowcount
