"""What a process keeps in memory of the ledger's settings: subscriptions, tenants, pauses, where workers are woken."""

from __future__ import annotations

import sqlite3

from cgk_jobs.engine.holds import paused_tenant_hold
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import PausedRecord, Subscription, TenantRecord
from cgk_jobs.engine.sqlite.database import QUERIES

__all__ = ["Configuration", "quotas_of"]


class Configuration:
    """Settings as of one version number; read anew when another process has raised it."""

    def __init__(self, db: sqlite3.Connection) -> None:
        self._db = db
        self._version = -1
        self.tasks: dict[str, Subscription] = {}
        self.listeners: dict[str, list[Subscription]] = {}
        self.alone: dict[str, Subscription] = {}
        """The listener of events that have one, with no priority, expiry or flow control."""
        self.flowing: set[str] = set()
        """Events that some task with flow control listens to."""
        self.tenants: dict[str, TenantRecord] = {}
        self.paused_queues: set[str] = set()
        self.paused_tenants: set[str] = set()
        self.quotas: dict[str, TenantQuotas] = {}
        """Of tenants that have any."""
        self.weights: dict[str, float] = {}
        """Shares of tenants whose share is not 1."""
        self.awaited: dict[str, dict[str, int]] = {}
        """Events some run has ever waited for: the fields it was matched by, and the last number before that was known."""
        self.doorbells: list[str] = []
        self.workers: set[int] = set()

    def refresh(self) -> None:
        """Read anew what has changed since the last time."""
        (version,) = self._db.execute(QUERIES["configuration_version"]).fetchone()
        if version != self._version:
            self._read()
            self._version = version

    def forget(self) -> None:
        """Read everything at the next refresh."""
        self._version = -1

    def changed(self) -> None:
        """Tell every process, this one included, that settings were written."""
        self._db.execute(QUERIES["change_configuration"])
        self.refresh()

    def _read(self) -> None:
        rows = [Subscription(*row) for row in self._db.execute(QUERIES["list_subscriptions"])]
        self.tasks = {row.task: row for row in rows}
        self.listeners = {}
        for row in rows:
            if row.event:
                self.listeners.setdefault(row.event, []).append(row)
        # The most usual listener: one task, with nothing to decide for each of its runs.
        self.alone = {
            name: found[0] for name, found in self.listeners.items() if len(found) == 1 and _is_simple(found[0])
        }
        self.flowing = {row.event for row in rows if row.flow}
        # Only tenants that are more than seen: there may be very many, and most have no settings.
        self.tenants = {row[0]: _tenant(row) for row in self._db.execute(QUERIES["list_tenants"])}
        self.paused_tenants = {tenant.id for tenant in self.tenants.values() if tenant.paused}
        self.weights = {tenant.id: tenant.weight for tenant in self.tenants.values() if tenant.weight != 1}
        self.quotas = {row[0]: quotas_of(row) for row in self._db.execute(QUERIES["list_quotas"])}
        paused = [PausedRecord(*row) for row in self._db.execute(QUERIES["list_paused"])]
        self.paused_queues = {row.name for row in paused if row.kind == "queue"}
        self.awaited = {}
        for event, fields, since_seq in self._db.execute(QUERIES["list_awaited"]):
            self.awaited.setdefault(event, {})[fields] = since_seq
        workers = self._db.execute(QUERIES["list_workers"]).fetchall()
        self.doorbells = [row[4] for row in workers if row[4]]
        self.workers = {row[0] for row in workers}

    def see(self, tenant_id: str, now: int) -> None:
        """Remember a tenant at its first send."""
        self._db.execute(QUERIES["see_tenant"], (tenant_id, now))
        self.tenants[tenant_id] = TenantRecord(tenant_id, added=False, created_at=now)

    def put_tenant(self, tenant: TenantRecord) -> None:
        """Write a tenant's settings."""
        self._db.execute(QUERIES["put_tenant"], (*tenant,))
        self.changed()

    def tenant(self, tenant_id: str) -> TenantRecord | None:
        """A tenant's settings, or ``None`` for one never seen."""
        row = self._db.execute(QUERIES["find_tenant"], (tenant_id,)).fetchone()
        return _tenant(row) if row else None

    def hold_of(self, tenant_id: str) -> str | None:
        """Why this tenant's runs don't become ready, or ``None``."""
        return paused_tenant_hold(tenant_id) if tenant_id in self.paused_tenants else None


def _is_simple(row: Subscription) -> bool:
    return not (row.flow or row.lane or row.rank) and row.expires is None


def quotas_of(row: tuple[object, ...]) -> TenantQuotas:
    """Quotas as a row has them."""
    quotas = TenantQuotas(*row)  # type: ignore[arg-type]
    return quotas._replace(closed=bool(quotas.closed))


def _tenant(row: tuple[object, ...]) -> TenantRecord:
    record = TenantRecord(*row)  # type: ignore[arg-type]
    return record._replace(added=bool(record.added), paused=bool(record.paused))
