"""What a process keeps in memory of the ledger's settings: subscriptions, tenants, pauses.

Sends and claims name the version they know, and do nothing where the ledger's is another: the caller reads anew and tries
again. So what is in memory may be old, and is never acted on while it is.
"""

from __future__ import annotations

import itertools
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass, field

from cgk_jobs.engine.holds import paused_tenant_hold
from cgk_jobs.engine.postgres.database import Database, Work
from cgk_jobs.engine.quotas import TenantQuotas
from cgk_jobs.engine.records import PausedRecord, Subscription, TenantRecord
from cgk_jobs.tenancy.ids import PLATFORM, parse_tenant_id

__all__ = ["Configuration"]


@dataclass(frozen=True, slots=True)
class _Settings:
    """Everything as of one version. Never changed, only replaced: every thread has one whole state before it."""

    version: int | None = None
    tasks: Mapping[str, Subscription] = field(default_factory=dict[str, Subscription])
    listeners: Mapping[str, Sequence[Subscription]] = field(default_factory=dict[str, Sequence[Subscription]])
    alone: Mapping[str, Subscription] = field(default_factory=dict[str, Subscription])
    urgent_queues: frozenset[str] = frozenset()
    tenants: Mapping[str, TenantRecord] = field(default_factory=dict[str, TenantRecord])
    paused_tenants: frozenset[str] = frozenset()
    limited_tenants: Sequence[str] = ()
    weights: Mapping[str, float] = field(default_factory=dict[str, float])
    quotas: Mapping[str, TenantQuotas] = field(default_factory=dict[str, TenantQuotas])
    paused_queues: frozenset[str] = frozenset()
    awaited: Mapping[str, Mapping[str, int]] = field(default_factory=dict[str, Mapping[str, int]])
    flowing: frozenset[str] = frozenset()


class Configuration:
    """The settings of one ledger, as this process knows them. Safe for several threads."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._settings = _Settings()
        self.seen: set[str] = set()
        """Tenants that are in the ledger."""

    @property
    def now(self) -> int | None:
        """What statements take as the time: ``None`` where the database's clock decides."""
        return self._database.now

    @property
    def version(self) -> int | None:
        """What the rest is the state of; ``None`` before the first :meth:`refresh`."""
        return self._settings.version

    @property
    def flowing(self) -> frozenset[str]:
        """Events that have a listener with flow control, and the tasks that have it."""
        return self._settings.flowing

    @property
    def tasks(self) -> Mapping[str, Subscription]:
        """Declared tasks by name."""
        return self._settings.tasks

    @property
    def listeners(self) -> Mapping[str, Sequence[Subscription]]:
        """The tasks that listen to an event, by its name."""
        return self._settings.listeners

    @property
    def alone(self) -> Mapping[str, Subscription]:
        """The only listener of an event, by the event's name, if it is a plain one and no run waits for such events."""
        return self._settings.alone

    @property
    def urgent_queues(self) -> frozenset[str]:
        """Queues of tasks whose runs go before other tenants'."""
        return self._settings.urgent_queues

    @property
    def tenants(self) -> Mapping[str, TenantRecord]:
        """Tenants' settings, of those known when they were read."""
        return self._settings.tenants

    @property
    def paused_tenants(self) -> frozenset[str]:
        """Tenants nothing is started for."""
        return self._settings.paused_tenants

    @property
    def limited_tenants(self) -> Sequence[str]:
        """Tenants whose runs a claim must look at one by one: those with a limit or rate of their own, and paused ones."""
        return self._settings.limited_tenants

    @property
    def weights(self) -> Mapping[str, float]:
        """Shares of tenants whose share is not 1."""
        return self._settings.weights

    @property
    def quotas(self) -> Mapping[str, TenantQuotas]:
        """Quotas of tenants that have any."""
        return self._settings.quotas

    @property
    def paused_queues(self) -> frozenset[str]:
        """Queues nothing is started from."""
        return self._settings.paused_queues

    @property
    def awaited(self) -> Mapping[str, Mapping[str, int]]:
        """Names of events that runs have waited for: which fields they were matched by, and a number that no event had before."""
        return self._settings.awaited

    def hold_of(self, tenant_id: str) -> str | None:
        """Why this tenant's runs don't become ready, or ``None``."""
        return paused_tenant_hold(tenant_id) if tenant_id in self._settings.paused_tenants else None

    def has_exceptions(self, tenant_id: str) -> bool:
        """Whether the tenant is paused or has quotas."""
        settings = self._settings
        return tenant_id in settings.paused_tenants or tenant_id in settings.quotas

    async def refresh(self, work: Work) -> None:
        """Read anew what another process may have changed."""
        # The version first: a change while the rest is read leaves it too low, and the next send or claim says so.
        version: int = await work.value("settings_version")
        if version == self._settings.version:
            return
        subscriptions = [Subscription(*row) for row in await work.rows("list_subscriptions")]
        tenants = [TenantRecord(*row) for row in await work.rows("list_tenants")]
        paused = [PausedRecord(*row) for row in await work.rows("list_paused")]
        quotas = [TenantQuotas(*row) for row in await work.rows("list_quotas")]
        awaited: dict[str, dict[str, int]] = {}
        for event, fields, since_seq in await work.rows("list_awaited"):
            awaited.setdefault(event, {})[fields] = since_seq
        self.seen = {row.id for row in tenants}
        self._settings = _settings(version, subscriptions, tenants, paused, quotas, awaited)

    async def changed(self, work: Work) -> None:
        """Tell every process that settings were written in this transaction; it is held up by others that do the same."""
        await work.run("change_configuration")

    async def see(self, tenant_ids: Collection[str]) -> None:
        """Remember tenants at their first send. Raises ``InvalidEvent`` or ``TenantRequired`` for what is no tenant's id."""
        # In a transaction of its own: the send's may be rolled back, and this process would not write them again.
        await self.see_in(self._database.reserved, tenant_ids)
        self.seen.update(tenant_ids)

    async def see_in(self, work: Work, tenant_ids: Collection[str]) -> None:
        """``see`` in the caller's transaction, which may be rolled back: nothing is remembered here."""
        for tenant_id in tenant_ids:
            if tenant_id != PLATFORM:
                parse_tenant_id(tenant_id)
        await work.run("see_tenants", sorted(tenant_ids), self._database.now)


def _settings(
    version: int,
    subscriptions: Sequence[Subscription],
    tenants: Sequence[TenantRecord],
    paused: Sequence[PausedRecord],
    quotas: Sequence[TenantQuotas],
    awaited: Mapping[str, Mapping[str, int]],
) -> _Settings:
    heard = sorted((row for row in subscriptions if row.event), key=lambda row: (row.event, row.task))
    listeners = {event: list(rows) for event, rows in itertools.groupby(heard, key=lambda row: row.event)}
    return _Settings(
        version=version,
        tasks={row.task: row for row in subscriptions},
        listeners=listeners,
        alone={
            event: rows[0]
            for event, rows in listeners.items()
            if len(rows) == 1 and not (rows[0].rank or rows[0].lane or rows[0].flow or event in awaited)
        },
        urgent_queues=frozenset(row.queue for row in subscriptions if row.rank < 0),
        tenants={row.id: row for row in tenants},
        paused_tenants=frozenset(row.id for row in tenants if row.paused),
        limited_tenants=[row.id for row in tenants if row.concurrency or row.rate or row.paused],
        weights={row.id: row.weight for row in tenants if row.weight != 1},
        quotas={row.tenant_id: row for row in quotas},
        paused_queues=frozenset(row.name for row in paused if row.kind == "queue"),
        awaited=awaited,
        flowing=frozenset(name for row in subscriptions if row.flow for name in (row.event, row.task) if name),
    )
