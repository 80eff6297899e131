"""From settings to a provider."""

from __future__ import annotations

from collections.abc import Mapping

from cgk_jobs.clock import Clock, SystemClock
from cgk_jobs.engine.sqlite.store import SqliteStore
from cgk_jobs.engine.store import Store
from cgk_jobs.errors import NotConfigured, Unsupported
from cgk_jobs.providers.bound import BoundProvider, ProviderSettings
from cgk_jobs.providers.capabilities import EMBEDDED, POSTGRES, Capabilities
from cgk_jobs.providers.claim_loop import ClaimLoopProvider

__all__ = ["CAPABILITIES", "create_provider"]

CAPABILITIES: Mapping[str, Capabilities] = {"embedded": EMBEDDED, "postgres": POSTGRES}
"""What each provider of this version can do."""


def create_provider(settings: ProviderSettings, clock: Clock | None = None) -> BoundProvider:
    """The provider the settings name, not started.

    Raises ``Unsupported`` for one this version lacks, and ``NotConfigured`` where its driver is not installed.
    """
    capabilities = CAPABILITIES.get(settings.provider)
    if capabilities is None:
        raise Unsupported(f"provider {settings.provider!r}", "this version", f"Use {' or '.join(CAPABILITIES)}.")
    return ClaimLoopProvider(settings.provider, _store(settings, clock or SystemClock()), capabilities)


def _store(settings: ProviderSettings, clock: Clock) -> Store:
    if settings.postgres is not None:
        # The driver is an extra: who has no PostgreSQL needs none.
        from cgk_jobs.engine.postgres.store import PostgresStore

        return PostgresStore(settings.postgres.worker, clock)
    if settings.database is None:
        raise NotConfigured(f"the provider {settings.provider} needs the address of a ledger: set JOBS_DATABASE_URL")
    return SqliteStore(settings.database, clock, full_sync=settings.full_sync)
