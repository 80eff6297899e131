"""From settings to a provider with its ledger."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Protocol

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import NotConfigured
from cgk_jobs.providers.bound import BoundProvider, ProviderSettings
from cgk_jobs.providers.capabilities import (
    BULLMQ,
    EMBEDDED,
    INNGEST,
    POSTGRES,
    QSTASH,
    TRIGGER_DEV,
    VERCEL_CRON,
    Capabilities,
)
from cgk_jobs.providers.claim_loop import ClaimLoopProvider
from cgk_jobs.providers.hosting import CLAIMING
from cgk_jobs.providers.making import ProviderContext, make_provider
from cgk_jobs.providers.provider import JobProvider
from cgk_jobs.providers.seen import LedgerLeases, LedgerSeen
from cgk_jobs.providers.tenant_names import TenantNames

__all__ = ["CAPABILITIES", "create_provider"]

CAPABILITIES: Mapping[str, Capabilities] = {
    "embedded": EMBEDDED,
    "postgres": POSTGRES,
    "bullmq": BULLMQ,
    "inngest": INNGEST,
    "qstash": QSTASH,
    "trigger_dev": TRIGGER_DEV,
    "vercel_cron": VERCEL_CRON,
}
"""What each provider of this version can do."""


class HostedSettings(ProviderSettings, Protocol):
    """The settings hosted providers are made of, too."""

    @property
    def app(self) -> str | None:
        """The application's name."""
        ...

    @property
    def public_url(self) -> str | None:
        """Where the application is reached."""
        ...

    @property
    def signing_keys(self) -> tuple[bytes, ...]:
        """What the application signs with, the newest first."""
        ...

    @property
    def values(self) -> Mapping[str, str]:
        """The settings by their variables."""
        ...


def create_provider(settings: HostedSettings, clock: Clock | None = None) -> BoundProvider:
    """The provider the settings name, with its ledger, not started.

    Raises ``Unsupported`` for one this installation lacks, and ``NotConfigured`` where a setting is missing or has the wrong
    form, or its packages are not installed.
    """
    clock = clock or SystemClock()
    store = _store(settings, clock)

    def make(name: str) -> JobProvider:
        return make_provider(name, _context(settings, store, clock))

    if settings.provider in CLAIMING:
        capabilities = CAPABILITIES[settings.provider]
    else:
        # Made once here, so that a key of the wrong form is refused before anything is sent.
        own = make(settings.provider).capabilities
        capabilities = replace(own, transactional_send=settings.postgres is not None)
    return ClaimLoopProvider(
        settings.provider,
        store,
        capabilities,
        make=make,
        names=_names(settings),
        app=settings.app or "default",
        public_url=settings.public_url,
        # As Vercel says where it runs an application, which it puts to sleep between calls.
        on_call=settings.values.get("VERCEL_ENV") in ("production", "preview"),
    )


def _context(settings: HostedSettings, store: Store, clock: Clock) -> ProviderContext:
    return ProviderContext(
        settings.app or "default",
        settings.values,
        settings.public_url,
        settings.signing_keys,
        LedgerSeen(store),
        clock,
        LedgerLeases(store),
    )


def _names(settings: HostedSettings) -> TenantNames:
    if settings.values.get("JOBS_HASH_TENANTS", "") not in ("1", "true", "yes"):
        return TenantNames()
    if not settings.signing_keys:
        raise NotConfigured("JOBS_HASH_TENANTS needs JOBS_SIGNING_KEY: the hash is made with it")
    return TenantNames(settings.signing_keys[-1])


def _store(settings: ProviderSettings, clock: Clock) -> Store:
    if settings.postgres is not None:
        # The driver is an extra: who has no PostgreSQL needs none.
        from cgk_jobs.engine.postgres.store import PostgresStore

        return PostgresStore(settings.postgres.worker, clock)
    if settings.database is None:
        raise NotConfigured(f"the provider {settings.provider} needs the address of a ledger: set JOBS_DATABASE_URL")
    return SqliteStore(settings.database, clock, full_sync=settings.full_sync)
