"""Operations: health, alerts, clean-up, recovery, and the shop's connection."""

from __future__ import annotations

from datetime import datetime
from typing import Literal

from cgk_jobs.events.event import Event
from cgk_jobs.events.fields import Days, JsonObject

__all__ = ["ShopAppUninstalled", "SystemAlert", "SystemCleanup", "SystemHealthCheck", "SystemSyncRecovery"]


class SystemHealthCheck(Event, name="system.health_check"):
    """Probe all services (``full``) or only those nothing works without (``critical``)."""

    check_type: Literal["full", "critical"]


class SystemAlert(Event, name="system.alert"):
    """Raise an operational alert."""

    severity: Literal["critical", "error", "warning", "info"]
    title: str
    message: str
    metadata: JsonObject | None = None


class SystemCleanup(Event, name="system.cleanup"):
    """Purge old data of one kind."""

    target: Literal["logs", "sessions", "cache", "temp"]
    older_than_days: Days | None = None


class SystemSyncRecovery(Event, name="system.sync_recovery"):
    """Resume a synchronisation that stopped, from ``last_success_at`` where that is known."""

    sync_type: str
    last_success_at: datetime | None = None


class ShopAppUninstalled(Event, name="shop.app_uninstalled"):
    """The tenant's shop removed the application: its credentials no longer work and must go."""

    shop_domain: str
    uninstalled_at: datetime | None = None
